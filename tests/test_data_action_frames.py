"""Annotated frames of any data set, through one interface."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unseen.data.load  # noqa: F401 - registers the data sets
from face_trees import jhmdb
from unseen.data.action_frames import extract_frames, load_action_frames, real_boxes
from unseen.data.clips import SplitName
from unseen.data.jhmdb import load_jhmdb
from unseen.errors import ConfigError, DataError, UnknownNameError


@pytest.fixture
def extracted(tmp_path: Path) -> Path:
    extract_frames(load_jhmdb(jhmdb(tmp_path / "tree", {})), tmp_path / "frames")
    return tmp_path / "frames"


def test_extracted_frames_are_read_under_the_name_of_their_data_set(
    extracted: Path, tmp_path: Path
) -> None:
    whole = load_action_frames("jhmdb", tmp_path / "tree")
    for name in ("keyframes", "jhmdb:1", "jhmdb"):
        read = load_action_frames(name, extracted)
        assert (read.name, read.classes, len(read)) == ("jhmdb:1", whole.classes, 12)
    splits: tuple[SplitName, ...] = ("train", "test")
    for split in splits:
        one, other = whole.of_split(split), read.of_split(split)
        assert len(one) == len(other) == 6
        for i in (5, 0):
            np.testing.assert_array_equal(one[i].image, other[i].image)
            np.testing.assert_array_equal(one[i].boxes, other[i].boxes)
            assert one.video_of(i) == other.video_of(i)
    assert not len(read.of_split("val"))
    for wrong in ("jhmdb:2", "daly"):
        with pytest.raises(DataError, match=f"holds frames of 'jhmdb:1', not of '{wrong}'"):
            load_action_frames(wrong, extracted)


def test_all_faults_of_extracted_frames_in_one_report(extracted: Path) -> None:
    path = extracted / "frames.json"
    index: dict[str, Any] = json.loads(path.read_text())
    rows = index["frames"]
    rows[0]["split"] = "dev"
    rows[1]["labels"] = [21]
    rows[2]["boxes"] = [[0.5, 0.2, 0.5, 0.9]]
    rows[3]["labels"] = [0, 1]
    (extracted / rows[4]["path"]).unlink()
    path.write_text(json.dumps(index))
    with pytest.raises(DataError) as caught:
        load_action_frames("keyframes", extracted)
    assert [fault.split(": ", 1)[1] for fault in caught.value.faults] == [
        "'dev' is no split",
        "labels must be from 0 to 20",
        "a box is not (x0, y0, x1, y1) in [0, 1] with x0 < x1 and y0 < y1",
        "1 boxes, 2 labels",
        "is not there",
    ]


def test_what_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match=r"'daly' are in a folder: name it \(--actions-root DIR"):
        load_action_frames("daly")
    with pytest.raises(UnknownNameError, match="unknown action detection set 'dalli'"):
        load_action_frames("dalli")
    with pytest.raises(DataError, match="'duet-faces' is drawn when it is needed"):
        extract_frames(load_action_frames("duet-faces"), Path("frames"))


def test_boxes_with_an_area_inside() -> None:
    boxes = np.array(
        [[0, 0, 1, 1], [0.2, 0.2, 0.2, 0.4], [0.5, 0.1, 0.4, 0.2], [-0.1, 0, 1, 1],
         [0, 0, 1.1, 1], [np.nan, 0, 1, 1]]
    )  # fmt: skip
    assert real_boxes(boxes.astype(np.float32)).tolist() == [True, *5 * [False]]
