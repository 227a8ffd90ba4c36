"""Files that are either whole or absent: written beside their name, renamed when complete."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unseen.errors import ConfigError

_LONGEST_NAME = 255  # bytes, on common file systems


def has_long_name(path: Path) -> bool:
    """Whether no common file system has a file of this name."""
    return len(os.fsencode(path.name)) > _LONGEST_NAME


def refuse_unwritable(path: Path) -> None:
    """Raise `ConfigError` where a file of this name could not be written; create nothing.

    Cheap, so that a caller can ask before hours of work.
    """
    if has_long_name(path):
        raise ConfigError(f"{path} cannot be written: its name is longer than 255 bytes")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: give the name of a file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise ConfigError(f"{path} cannot be written: {folder} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{path} cannot be written: no permission to write into {folder}")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes `path` if the block ends well.

    The suffix is kept, so that writers that look at it (video containers) work; on any exception,
    an interrupt too, the temporary file is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stem, more = path.stem, f".{os.getpid()}.partial{path.suffix}"
    if len(os.fsencode(f".{stem}{more}")) > _LONGEST_NAME:
        stem = hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]
    temporary = path.with_name(f".{stem}{more}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or nested more deeply than can be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinities are refused, as JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
