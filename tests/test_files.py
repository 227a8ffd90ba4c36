"""Files are whole or absent."""

import json
from pathlib import Path

import pytest

from unseen.errors import ConfigError
from unseen.files import refuse_unwritable, write_json, written_whole


def test_the_file_appears_at_the_end_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "clip.mp4"
    with written_whole(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".mp4"
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "a.txt"):
        pass


def test_json_round_trip(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, "é"], "b": {"c": True}}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_nan(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": value})
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    refuse_unwritable(tmp_path / "file")
    refuse_unwritable(tmp_path / "new" / "deep" / "r.json")
    monkeypatch.chdir(tmp_path)
    refuse_unwritable(Path("r.json"))
    for path, message in (
        (tmp_path, "is a folder: give the name of a file"),
        (tmp_path / "file" / "deep" / "r.json", "file is no folder"),
        (Path("file/r.json"), "file is no folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            refuse_unwritable(path)
    monkeypatch.setattr("os.access", lambda folder, mode: folder != tmp_path)
    with pytest.raises(ConfigError, match="no permission to write into"):
        refuse_unwritable(tmp_path / "new" / "r.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    longest = [tmp_path / f"{letter * 249}.json" for letter in ("a", "b")]
    assert len(longest[0].name) == 254
    with written_whole(longest[0]) as one, written_whole(longest[1]) as other:
        assert one != other
        for path in (one, other):
            path.write_text(path.name)
    assert sorted(tmp_path.iterdir()) == longest
    for path in longest:
        refuse_unwritable(path)
    with pytest.raises(ConfigError, match="its name is longer than 255 bytes"):
        refuse_unwritable(tmp_path / f"{'é' * 126}.json")
