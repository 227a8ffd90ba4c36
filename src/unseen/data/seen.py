"""What a run has learned from, kept in its folder, so that nobody tests it on the same.

`seen.json` holds digests and neither clips nor names, and lies beside the weights, not in them:
whoever has a clip, or guesses a name, can find out by it whether that was among them. It is needed
to measure a run, and is not read to use it.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from unseen.errors import RunError
from unseen.files import read_json, write_json
from unseen.types import StoredClips

SEEN_FILE = "seen.json"


def digest_of(person: str) -> str:
    """64 bits of the SHA-256 of a person's name, hexadecimal; in most data a folder's name."""
    return _digest(person.encode())


def clip_digests(clips: StoredClips) -> list[str]:
    """64 bits of the SHA-256 of each clip, hexadecimal, in their order."""
    return [_digest(clip.tobytes()) for clip in clips]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def write_seen(folder: Path, what: str, digests: Iterable[str]) -> None:
    """Write what a run has learned from, in an order that tells nothing.

    Args:
        folder: the run's.
        what: `clips` or `people`.
        digests: of all of them.
    """
    write_json(folder / SEEN_FILE, {what: sorted(set(digests))})


def read_seen(folder: Path, what: str) -> frozenset[str] | None:
    """The digests that `write_seen` was given; None where nobody wrote them.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / SEEN_FILE
    try:
        digests = read_json(path)[what]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    if not isinstance(digests, list) or not all(isinstance(each, str) for each in digests):
        raise _damaged(path)
    return frozenset(digests)


def _damaged(path: Path) -> RunError:
    return RunError(f"{path} is damaged: delete it to go without its check")
