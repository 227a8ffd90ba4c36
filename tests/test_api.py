"""The public surface: a change of it shows here."""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import unseen

SURFACE = [
    "EvaluationConfig",
    "Excluded",
    "FaceSettings",
    "ManualBox",
    "RunConfig",
    "UnseenError",
    "anonymize_paths",
    "anonymize_video",
    "evaluate",
    "find_faces",
    "load_anonymizer",
    "load_config",
    "load_data",
    "load_target",
    "train",
    "train_target",
    "write_report",
]
SIGNATURES = {
    "anonymize_paths": (
        "inputs out anonymizer codec chunk progress finished keep_audio device region faces "
        "faces_json"
    ),
    "anonymize_video": (
        "src dst anonymizer codec chunk progress keep_audio device region faces faces_json"
    ),
    "evaluate": "anonymizer data out config",
    "find_faces": "video settings detector progress",
    "load_anonymizer": "name",
    "load_config": "preset overrides base",
    "load_data": "config jobs cache boxes",
    "load_target": "weights",
    "train": "config data folder resume",
    "train_target": "anonymizer data out config raw",
    "write_report": "results out title",
}


def test_the_surface() -> None:
    assert unseen.__all__ == SURFACE


@pytest.mark.parametrize("name", SURFACE)
def test_everything_public_is_there_and_described(name: str) -> None:
    thing = getattr(unseen, name)
    assert thing.__name__ == name
    assert inspect.getdoc(thing)
    if name in SIGNATURES:
        assert list(inspect.signature(thing).parameters) == SIGNATURES[name].split()


def test_star_import_gives_the_surface() -> None:
    names: dict[str, object] = {}
    exec("from unseen import *", names)
    assert names.keys() - {"__builtins__"} == set(SURFACE)


def test_an_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'unseen' has no attribute 'blur'"):
        _ = unseen.blur
    assert not hasattr(unseen, "blur")


def test_the_version_is_that_of_the_project() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert unseen.__version__ == tomllib.loads(text)["project"]["version"]


def test_importing_unseen_imports_no_pytorch() -> None:
    program = "import sys, unseen; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
