import json
import pickle
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_trees import daly_annotations
from unseen.data.action_frames import extract_frames, load_action_frames
from unseen.data.clips import SPLITS
from unseen.data.daly import ACTIONS, OFFICIAL_COUNTS, load_daly, read_daly
from unseen.data.daly_pickle import convert_daly
from unseen.data.official import check, read_official
from unseen.data.video import write_video
from unseen.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two videos of ten frames, frame k of grey level 20 k, and converted annotations."""
    levels = 20 * np.arange(10, dtype=np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (10, 16, 32, 3)).copy()
    for name in ("aaa", "bbb"):
        (tmp_path / "videos").mkdir(exist_ok=True)
        write_video(tmp_path / "videos" / f"{name}.mp4", images, Fraction(10), "lossless")
    (tmp_path / "daly1.1.0.pkl").write_bytes(pickle.dumps(daly_annotations(), protocol=2))
    convert_daly(tmp_path / "daly1.1.0.pkl", tmp_path / "daly1.1.0.json")
    return tmp_path


def edit(root: Path, change: Any) -> None:
    path = root / "daly1.1.0.json"
    content = json.loads(path.read_text())
    change(content["videos"])
    path.write_text(json.dumps(content))


def test_the_official_numbers() -> None:
    assert len(set(ACTIONS)) == OFFICIAL_COUNTS["classes"] == 10
    assert OFFICIAL_COUNTS["train"] + OFFICIAL_COUNTS["test"] == OFFICIAL_COUNTS["videos"]


def test_a_tree_in_the_official_layout(root: Path) -> None:
    inventory = read_official("daly", root)
    assert [(item.path, item.split, item.labels) for item in inventory.items] == [
        ("videos/aaa.mp4", "train", {"action": "Drinking"}),
        ("videos/bbb.mp4", "test", {"action": "Phoning"}),
    ]
    report = check(inventory, decode=True)
    assert not report.faults
    assert report.counts == {
        "videos": (2, 510),
        "classes": (2, 10),
        "train": (1, 310),
        "test": (1, 200),
    }
    (root / "annotations").mkdir()
    (root / "daly1.1.0.json").rename(root / "annotations" / "daly1.1.0.json")
    assert read_daly(root).items == inventory.items


def test_keyframes_are_read_out_of_their_videos(root: Path) -> None:
    data = load_daly(root)
    assert [(frame.video, frame.number) for frame in data.frames] == [
        ("aaa.mp4", 1),  # DALY counts from 1
        ("aaa.mp4", 4),
        ("bbb.mp4", 0),
    ]
    pictures = dict(chain.from_iterable(data.files()))
    assert [int(pictures[i].image.mean().round()) for i in range(3)] == [20, 80, 0]
    np.testing.assert_allclose(pictures[0].boxes, [[8, 0, 16, 8]])
    # Both actions of one frame; a box that leaves the picture ends at its edge.
    np.testing.assert_allclose(pictures[1].boxes, [[0, 0, 32, 16], [16, 8, 32, 16]])
    assert [ACTIONS[label] for label in pictures[1].labels] == ["Drinking", "Phoning"]
    with pytest.raises(DataError, match=r"frame 1 of '.*aaa.mp4' is inside a video: extract"):
        _ = data[0]


def test_extracted_frames_are_the_same_in_any_order(root: Path, tmp_path: Path) -> None:
    data = load_daly(root)
    seen: list[tuple[int, int]] = []
    out = tmp_path / "frames"
    extract_frames(data, out, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (out / "train" / "aaa" / "000001.png").exists()
    read = load_action_frames("keyframes", out)
    assert (read.name, read.classes, len(read)) == ("daly", ACTIONS, 3)
    pictures = dict(chain.from_iterable(data.files()))
    for i in (2, 0, 1):
        np.testing.assert_array_equal(read[i].image, pictures[i].image)
        np.testing.assert_allclose(read[i].boxes, pictures[i].boxes)
        assert read[i].labels.tolist() == pictures[i].labels.tolist()
    assert [len(read.of_split(split)) for split in SPLITS] == [2, 0, 1]
    (out / "frames.json").write_text('{"schema": "unseen/other/1"}')
    with pytest.raises(DataError, match=r"is not what `unseen data keyframes` writes"):
        load_action_frames("keyframes", out)


def test_a_video_that_ends_before_a_keyframe(root: Path) -> None:
    edit(root, lambda videos: videos["bbb.mp4"]["instances"][0]["keyframes"][0].update(frame=12))
    data = load_daly(root)
    with pytest.raises(DataError, match=r"bbb.mp4' has 10 frames, but frame 12 is annotated"):
        list(chain.from_iterable(data.files()))


def test_every_video_that_cannot_be_read_is_named_and_the_others_are_extracted(
    root: Path, tmp_path: Path
) -> None:
    edit(root, lambda videos: videos["aaa.mp4"]["instances"][0]["keyframes"][0].update(frame=12))
    data = load_daly(root)
    (broken,) = {frame.path for frame in data.frames if frame.video == "bbb.mp4"}
    (root / broken).write_bytes(b"nothing")
    out = tmp_path / "frames"
    with pytest.raises(DataError, match="not every frame of daly could be read") as caught:
        extract_frames(data, out)
    assert len(caught.value.faults) == 2
    assert "aaa.mp4' has 10 frames, but frame 12 is annotated" in caught.value.faults[0]
    assert "bbb.mp4" in caught.value.faults[1]
    assert (out / "train" / "aaa" / "000004.png").exists()
    assert not (out / "frames.json").exists()


def test_all_faults_in_one_report(root: Path) -> None:
    def spoil(videos: Any) -> None:
        videos["aaa.mp4"]["instances"][0]["action"] = "Drinkin"
        videos["aaa.mp4"]["instances"][1]["keyframes"][0]["box"] = [0.5, 0.5, 0.4, 1.0]
        videos["ccc.mp4"] = {"split": "val", "action": "Phoning", "instances": []}
        videos["ddd.mp4"] = {"split": "train", "action": "Phoning", "instances": []}

    edit(root, spoil)
    (root / "videos" / "eee.mp4").write_bytes(b"no video")
    report = check(read_daly(root))
    assert report.faults == (
        "'videos/ddd.mp4' is listed and not there",
        "daly1.1.0.json: 'ccc.mp4' is not what convert-daly writes",
        "'aaa.mp4': 'Drinkin' is no action of DALY (did you mean 'Drinking'?)",
        "'aaa.mp4', Phoning, frame 4: [0.5, 0.5, 0.4, 1.0] is no box (x0, y0, x1, y1) within "
        "[0, 1]",
    )
    assert report.unlisted == ("'videos/eee.mp4' is there and in no list",)
    with pytest.raises(DataError, match=r"daly in '.*' has 4 faults; nothing was loaded"):
        load_daly(root)


def test_annotations_that_are_not_converted_or_not_there(root: Path) -> None:
    (root / "daly1.1.0.json").unlink()
    with pytest.raises(DataError, match=r"daly1.1.0.pkl' must be converted: unseen data convert"):
        read_daly(root)
    (root / "daly1.1.0.pkl").unlink()
    with pytest.raises(DataError, match=r"holds no 'daly1.1.0.json': convert it: unseen data conv"):
        read_daly(root)
    with pytest.raises(DataError, match=r"there is no folder"):
        read_daly(root / "none")
    (root / "daly1.1.0.json").write_text('{"schema": "x", "videos": {}}')
    with pytest.raises(DataError, match=r"is not what convert-daly writes: its schema is 'x'"):
        read_daly(root)
