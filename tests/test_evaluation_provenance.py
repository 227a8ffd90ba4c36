"""Where figures come from: a commit is named only if it is that of the code which ran."""

import subprocess
from pathlib import Path

import pytest

from unseen.evaluation import provenance


def _git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that asks, as if it lay in a repository that keeps another file."""
    _git(tmp_path, "init", "-q")
    (tmp_path / "analysis.py").write_text("1")
    _git(tmp_path, "add", "analysis.py")
    _git(tmp_path, "commit", "-qm", "theirs")
    file = tmp_path / "src" / "unseen" / "evaluation" / "provenance.py"
    file.parent.mkdir(parents=True)
    file.write_text("1")
    monkeypatch.setattr(provenance, "__file__", str(file))
    return file


def test_the_commit_of_somebody_elses_repository_is_not_ours(code: Path) -> None:
    assert provenance.provenance(0, "cpu")["commit"] is None


def test_the_hash_of_the_code_tells_of_every_change(code: Path) -> None:
    provenance.source_hash.cache_clear()
    before = provenance.source_hash()
    assert len(before) == 64
    code.write_text("2")
    provenance.source_hash.cache_clear()
    changed = provenance.source_hash()
    code.with_name("other.py").touch()
    provenance.source_hash.cache_clear()
    assert len({before, changed, provenance.source_hash()}) == 3
    provenance.source_hash.cache_clear()


def test_changed_code_is_dirty(code: Path, tmp_path: Path) -> None:
    _git(tmp_path, "add", "src")
    _git(tmp_path, "commit", "-qm", "ours")
    head = _git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "analysis.py").write_text("2")  # no code of ours
    (code.parent / "new.py").write_text("1")
    assert provenance.provenance(0, "cpu")["commit"] == head
    (code.parents[1] / "cli.py").write_text("1")
    _git(tmp_path, "add", "src/unseen/cli.py")
    assert provenance.provenance(0, "cpu")["commit"] == f"{head}-dirty"


def test_without_a_repository_or_git_there_is_none(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.provenance(0, "cpu")["commit"] is None
