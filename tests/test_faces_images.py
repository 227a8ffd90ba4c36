"""Folders of faces, LFW's lists of people, and crops with their landmarks."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tiny_faces import drawn_face, tiny_faces, write_faces
from unseen.errors import DataError
from unseen.faces.images import (
    TrainingFaces,
    face_crops,
    framed,
    people_of,
    read_folds,
    read_people,
)


def test_people_are_read_in_order_with_identities(tmp_path: Path) -> None:
    write_faces(tmp_path, 3, 2)
    images = read_people(tmp_path, ["person0", "person2", "nobody"], 64)
    assert images.names == ("person0", "person2")
    assert images.identities.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(images.pictures[3], drawn_face(2, 1))
    assert images.regions[0] == pytest.approx(np.array([0.194, 0.105, 0.807, 0.915]) * 64)


def test_pictures_can_stay_in_their_files(tmp_path: Path) -> None:
    write_faces(tmp_path, 2, 2)
    now = read_people(tmp_path, ["person0", "person1"], 64)
    later = read_people(tmp_path, ["person0", "person1"], 64, lazy=True)
    np.testing.assert_array_equal(later.identities, now.identities)
    chosen = np.array([3, 0])
    assert np.array_equal(face_crops(later, chosen, 24)[0], face_crops(now, chosen, 24)[0])
    (tmp_path / "person0" / "person0_0000.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"person0_0000.png is no picture"):
        face_crops(later, chosen, 24)


def test_people_with_few_pictures_are_left_out(tmp_path: Path) -> None:
    write_faces(tmp_path, 2, 3)
    (tmp_path / "person1" / "person1_0002.png").unlink()
    assert read_people(tmp_path, ["person0", "person1"], 32, least=3).names == ("person0",)
    with pytest.raises(DataError, match="none of 2 people has 4 pictures"):
        read_people(tmp_path, ["person0", "person1"], 32, least=4)


def test_hidden_folders_and_such_without_pictures_are_no_people(tmp_path: Path) -> None:
    write_faces(tmp_path, 2, 2)
    write_faces(tmp_path / ".thumbnails", 1, 1)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.png").write_bytes(b"")
    (tmp_path / "notes" / "a.png").mkdir(parents=True)
    (tmp_path / "notes" / "readme.txt").write_text("no picture")
    assert people_of(tmp_path) == ["person0", "person1"]


def test_every_broken_picture_is_named(tmp_path: Path) -> None:
    write_faces(tmp_path, 2, 2)
    broken = [tmp_path / "person0" / "person0_0001.png", tmp_path / "person1" / "person1_0000.png"]
    broken[0].write_bytes(b"")
    broken[1].write_bytes(b"no picture")
    cut = tmp_path / "person1" / "person1_0002.jpg"  # of which the rest would be grey
    cv2.imwrite(str(cut), drawn_face(1, 2))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    broken.append(cut)
    with pytest.raises(DataError) as caught:
        read_people(tmp_path, ["person0", "person1"], 32)
    assert "3 pictures are broken" in str(caught.value)
    assert all(str(path) in str(caught.value) for path in broken)


def test_lists_of_folds(tmp_path: Path) -> None:
    write_faces(tmp_path, 4, 1)
    people = tmp_path / "people.txt"
    assert read_folds(people) == [["person0", "person1"], ["person2", "person3"]]
    for text in ("2\n1\nA\t1\n", "2\n2\nA\t1\n1\n", "words\n", ""):
        people.write_text(text)
        with pytest.raises(DataError, match="no list of people"):
            read_folds(people)
    people.write_text("1\n2\nA\t1\nA\t2\n")
    with pytest.raises(DataError, match=r"people\.txt, line 4 repeats 'A'"):
        read_folds(people)
    people.write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read as UTF-8 text"):
        read_folds(people)
    with pytest.raises(DataError, match="cannot be read: there is no such file"):
        read_folds(tmp_path / "missing.txt")


def _dotted(side: int = 80) -> TrainingFaces:
    """One black picture with a coloured dot at each landmark."""
    picture = np.zeros((1, side, side, 3), np.uint8)
    images = framed(picture, np.array([0]), ["one"])
    for k, (x, y) in enumerate(np.rint(images.landmarks[0]).astype(int)):
        picture[0, y - 1 : y + 2, x - 1 : x + 2] = (50 + 40 * k, 255, 255 - 40 * k)
    return images


@pytest.mark.parametrize("seed", [None, *range(6)])
def test_landmarks_move_with_the_picture(seed: int | None) -> None:
    images = _dotted()
    rng = None if seed is None else np.random.default_rng(seed)
    crops, points = face_crops(images, np.array([0]), 64, rng)
    assert crops.shape == (1, 64, 64, 3)
    # Eyes, left first as seen, then nose, then mouth corners, whether mirrored or not.
    assert points[0, 0, 0] < points[0, 2, 0] < points[0, 1, 0]
    assert points[0, 3, 0] < points[0, 4, 0]
    for x, y in points[0]:
        around = crops[0, int(y) - 3 : int(y) + 5, int(x) - 3 : int(x) + 5, 1].astype(float)
        assert around.max() > 150
        rows, columns = np.mgrid[int(y) - 3 : int(y) + 5, int(x) - 3 : int(x) + 5]
        total = around.sum()
        assert (columns * around).sum() / total == pytest.approx(x, abs=1.2)
        assert (rows * around).sum() / total == pytest.approx(y, abs=1.2)


def test_crops_are_mirrored_and_moved_at_random_only() -> None:
    images = tiny_faces(1, 1)
    chosen = np.zeros(8, np.int64)
    still, _ = face_crops(images, chosen, 24)
    assert (still == still[0]).all()
    moved, points = face_crops(images, chosen, 24, np.random.default_rng(0))
    assert len(np.unique(moved.reshape(8, -1), axis=0)) == 8
    again, same = face_crops(images, chosen, 24, np.random.default_rng(0))
    assert np.array_equal(moved, again)
    assert np.array_equal(points, same)
