"""What a run has learned from is known again by digests, and by nothing else."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from unseen.config import DataConfig, RunConfig
from unseen.data.seen import SEEN_FILE, clip_digests, digest_of, read_seen, write_seen
from unseen.errors import RunError
from unseen.training.folder import refuse_seen


def test_digests_are_the_head_of_sha256() -> None:
    assert digest_of("Ann") == sha256(b"Ann").hexdigest()[:16]
    clips = np.arange(2 * 3 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 4, 3)
    assert clip_digests(clips) == [sha256(bytes(clip.ravel())).hexdigest()[:16] for clip in clips]


def test_what_is_written_is_read_again_and_holds_no_name(tmp_path: Path) -> None:
    assert read_seen(tmp_path, "people") is None
    write_seen(tmp_path, "people", ["b", "a", "b"])
    assert json.loads((tmp_path / SEEN_FILE).read_text()) == {"people": ["a", "b"]}
    write_seen(tmp_path, "people", map(digest_of, ["Zoe", "Ann"]))
    assert read_seen(tmp_path, "people") == frozenset(map(digest_of, ["Ann", "Zoe"]))
    assert "Ann" not in (tmp_path / SEEN_FILE).read_text()


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"clips": []}', '{"people": 3}', '{"people": "ab"}', '{"people": [1]}', "\xff"],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / SEEN_FILE).write_text(text, encoding="latin-1")
    with pytest.raises(RunError, match=r"seen\.json is damaged: delete it"):
        read_seen(tmp_path, "people")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / SEEN_FILE).mkdir()
    with pytest.raises(RunError, match=r"seen\.json cannot be read: Is a directory"):
        read_seen(tmp_path, "people")


def test_clips_made_otherwise_cannot_be_told_from_those_seen() -> None:
    """Digests are of decoded clips: of other frames, none would be found again."""
    run = RunConfig(data=DataConfig(name="ucf101:1", frames=16))
    refuse_seen(run, DataConfig(name="ucf101:2", frames=16))
    refuse_seen(run, DataConfig(name="hmdb51", frames=8))
    refuse_seen(RunConfig(), DataConfig(frames=8))  # generated: of another seed is another video
    with pytest.raises(RunError, match=r"learned with data\.frames=16; clips made otherwise"):
        refuse_seen(run, DataConfig(name="ucf101:2", frames=8))
    own = RunConfig(data=DataConfig(name="a.csv", private_name="vispr:5", stills="pan"))
    with pytest.raises(RunError, match=r"data\.stills=pan"):
        refuse_seen(own, DataConfig(name="duet", private_name="vispr:7", stills="repeat"))
    with pytest.raises(RunError, match=r"data\.frames=16"):
        refuse_seen(own, DataConfig(name="b.CSV", frames=4))
