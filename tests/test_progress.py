"""Progress bars: on a terminal only."""

import io
import sys

import pytest

from unseen.progress import counting, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(3, "work") as bar:
        bar.update(2)
        bar.set_postfix_str("half")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_what_how_far_and_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress(8, "attackers", "model", start=2) as bar:
        bar.update(4)
        bar.refresh()
    assert "attackers" in screen.getvalue()
    assert "2/8" in screen.getvalue()
    assert "6/8" in screen.getvalue()
    assert "model" in screen.getvalue()


def test_a_count_that_stopped_early_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    show = counting("reading", "file")
    show(3, 5)
    for done in (1, 2):
        show(done, 2)
    assert "2/5" not in screen.getvalue()
    assert "/2" in screen.getvalue()


def test_it_ends_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ZeroDivisionError), progress(None, "work") as bar:
        raise ZeroDivisionError
    assert bar.disable  # closed
