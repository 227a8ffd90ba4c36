from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from face_trees import jhmdb
from unseen.data.action_frames import mask_boxes
from unseen.data.jhmdb import ACTIONS, OFFICIAL_COUNTS, load_jhmdb, read_jhmdb
from unseen.data.official import check, read_official
from unseen.errors import DataError

VIDEO = "film1_golf_u_nm_np1_fr_goo_0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return jhmdb(tmp_path, {})


def mask_of(root: Path, action: str = "golf", video: str = VIDEO) -> Path:
    return root / "puppet_mask" / action / video / "puppet_mask.mat"


def test_the_official_numbers() -> None:
    assert len(set(ACTIONS)) == OFFICIAL_COUNTS["classes"] == 21
    assert list(ACTIONS) == sorted(ACTIONS)


def test_a_tree_in_the_official_layout(root: Path) -> None:
    inventory = read_official("jhmdb", root)
    assert inventory.items[0].path == f"Rename_Images/golf/{VIDEO}"
    assert inventory.items[0].labels == {"action": "golf"}
    assert [item.split for item in inventory.items] == ["train", "test", "train", "test"]
    report = check(inventory, decode=True)
    assert not report.faults
    assert not report.unlisted
    assert report.counts == {
        "videos": (4, 928),
        "classes": (2, 21),
        "frames": (12, 31838),
        "train": (2, 660),
        "test": (2, 268),
    }


def test_boxes_are_those_of_the_masks(root: Path) -> None:
    data = load_jhmdb(root, split=1)
    assert len(data) == 12
    assert {frame.split for frame in data.of_split("test").frames} == {"test"}
    assert len(data.of_split("test")) == 6
    for number in range(3):
        picture = data[number]
        assert picture.image.shape == (24, 32, 3)
        assert picture.image[0, 0, 0] == 40 * (number + 1)  # frame 00001 first
        np.testing.assert_allclose(picture.boxes, [[8, 4 + number, 20, 12]], atol=1e-5)
        assert data.classes[picture.labels[0]] == "golf"


def test_the_tightest_box_around_a_mask() -> None:
    masks = np.zeros((10, 20, 3), np.uint8)
    masks[2, 5, 0] = masks[6, 3, 0] = 7
    masks[:, :, 1] = 1
    boxes = mask_boxes(masks)
    np.testing.assert_allclose(boxes[0], [3 / 20, 2 / 10, 6 / 20, 7 / 10])
    np.testing.assert_allclose(boxes[1], [0, 0, 1, 1])
    assert np.isnan(boxes[2]).all()


def test_frames_without_a_mask_are_left_out(tmp_path: Path) -> None:
    empty_second = np.zeros((24, 32, 3), np.uint8)
    empty_second[0:4, 0:4, [0, 2]] = 1
    one = np.ones((24, 32), np.uint8)  # MATLAB drops a last dimension of one
    root = jhmdb(tmp_path, {VIDEO: empty_second, VIDEO.replace("film1", "film2"): one})
    frames = [f.path for f in load_jhmdb(root).frames if f.path.startswith("Rename_Images/golf")]
    assert frames == [
        f"Rename_Images/golf/{VIDEO}/00001.png",
        f"Rename_Images/golf/{VIDEO}/00003.png",
        f"Rename_Images/golf/{VIDEO.replace('film1', 'film2')}/00001.png",
    ]


def test_all_faults_in_one_report(root: Path) -> None:
    mask_of(root).unlink()
    cut = mask_of(root, "sit", "film1_sit_u_nm_np1_fr_goo_0")
    cut.write_bytes(cut.read_bytes()[:150])
    long = mask_of(root, "sit", "film2_sit_u_nm_np1_fr_goo_0")
    savemat(long, {"part_mask": np.ones((24, 32, 9), np.uint8)})
    savemat(mask_of(root, "golf", VIDEO.replace("film1", "film2")), {"mask": np.ones((4, 4))})
    (root / "Rename_Images" / "golf" / VIDEO / "00002.png").unlink()
    (root / "Rename_Images" / "golf" / "extra").mkdir()
    listing = root / "splits" / "golf_test_split1.txt"
    listing.write_text(f"{listing.read_text()}{VIDEO}.avi 2\na_golf_x.avi 3\n")
    report = check(read_jhmdb(root))
    assert report.unlisted == ("'Rename_Images/golf/extra' is there and in no list",)
    faults = list(report.faults)
    assert faults[0] == f"'{root}/Rename_Images/golf/{VIDEO}': frame 3 follows frame 1"
    assert faults[1:3] == [
        f"golf_test_split1.txt, line 3 repeats line 1: '{VIDEO}'",
        "golf_test_split1.txt, line 4: 'a_golf_x.avi 3' is not of the form '<video>.avi 1|2'",
    ]
    assert faults[3] == f"'puppet_mask/golf/{VIDEO}/puppet_mask.mat' is not there"
    assert faults[4].endswith("holds no 'part_mask' of (height, width, frames)")
    assert f"'{cut.relative_to(root)}' cannot be read as a MATLAB file" in faults[5]
    assert faults[6].endswith("has 9 masks, its video 3 frames")
    assert len(faults) == 7
    with pytest.raises(DataError, match=r"jhmdb:1 in '.*' has 7 faults; nothing was loaded"):
        load_jhmdb(root)


def test_a_mask_whose_end_is_missing(root: Path) -> None:
    noisy = np.random.default_rng(0).integers(0, 2, (24, 32, 3), dtype=np.uint8)
    savemat(mask_of(root), {"part_mask": noisy}, do_compression=False)
    whole = mask_of(root).read_bytes()
    mask_of(root).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"puppet_mask.mat' cannot be read as a MATLAB file"):
        load_jhmdb(root)


def test_a_root_of_something_else(root: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder"):
        read_jhmdb(root / "none")
    with pytest.raises(DataError, match=r"holds no list called <action>_test_split2.txt"):
        read_official("jhmdb:2", root)
    with pytest.raises(DataError) as caught:
        read_jhmdb(root / "splits")
    assert len(caught.value.faults) == 3
