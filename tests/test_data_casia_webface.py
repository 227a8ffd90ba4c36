from pathlib import Path

import numpy as np
import pytest

from face_trees import face, write_image
from unseen.data.casia_webface import OFFICIAL_COUNTS, load_folders, read_folders
from unseen.data.face_images import load_faces
from unseen.data.official import check, read_official
from unseen.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for person in range(3):
        for take in range(1, 3 + person):
            write_image(tmp_path / f"{person + 45:07d}" / f"{take:03d}.jpg", face(person, take))
    return tmp_path


@pytest.mark.parametrize("folder", ["", "CASIA-WebFace"])
def test_a_tree_in_the_official_layout(root: Path, folder: str) -> None:
    if folder:
        (root / folder).mkdir()
        for person in sorted(root.glob("00*")):
            person.rename(root / folder / person.name)
    inventory = read_official("casia-webface", root)
    report = check(inventory, decode=True)
    assert not report.faults
    assert report.counts == {"images": (9, 494414), "people": (3, 10575)}
    faces = load_faces("casia-webface", root)
    assert faces.people == ("0000045", "0000046", "0000047")
    assert faces.identity.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert faces.folds == ()
    assert faces.pairs is None
    np.testing.assert_allclose(
        faces[0].box, [18.536, 15.4125, 41.524, 45.7875], atol=1e-3
    )  # as LFW


def test_people_without_images_and_damaged_ones(root: Path) -> None:
    (root / "0000099" / "001.jpg").mkdir(parents=True)  # a folder is no image
    cut = root / "0000045" / "001.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    report = check(read_folders(root, "casia-webface", OFFICIAL_COUNTS), decode=True)
    assert len(report.faults) == 2
    assert report.faults[0].startswith(f"{cut} is damaged")
    assert report.faults[1] == "'0000099' holds no image"
    with pytest.raises(DataError, match=r"casia-webface in '.*' has 1 fault; nothing was loaded"):
        load_folders(root, "casia-webface")


def test_a_root_of_something_else(root: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder"):
        load_folders(root / "none", "casia-webface")
    with pytest.raises(DataError, match=r"holds no folder, one for each person"):
        load_folders(root / "0000045", "casia-webface")
