from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unseen.data.load  # noqa: F401 - registers the data sets
from face_trees import face, lfw, people_of, write_image
from unseen.data.face_images import (
    CENTRED,
    Face,
    crop,
    draw_pairs,
    enlarged_box,
    load_faces,
    with_folds,
)
from unseen.errors import DataError, UnknownNameError
from unseen.faces.images import read_people


def test_images_are_read_with_their_faces(tmp_path: Path) -> None:
    faces = load_faces("lfw", lfw(tmp_path))
    assert len(faces) == 2 * 6 * 4
    assert faces.paths[0] == "Person_A_0/Person_A_0_0001.jpg"
    assert faces.people[faces.identity[-1]] == "Person_B_5"
    picture = faces[0]
    assert picture.image.shape == (60, 60, 3)
    # What the detector finds on average: 0.309, 0.257, 0.692, 0.763 of 60 pixels.
    np.testing.assert_allclose(picture.box, [18.536, 15.4125, 41.524, 45.7875], atol=1e-3)
    assert abs(picture.image.astype(int) - face(0, 1)).mean() < 12  # a JPEG of it


@pytest.mark.parametrize("name", ["lfw", "casia-webface"])
def test_modifiers_are_measured_in_the_boxes_that_they_learned(tmp_path: Path, name: str) -> None:
    """What verification replaces, 1.6 times the face box, is what training shows the modifier."""
    lfw(tmp_path)
    if name == "casia-webface":
        for listed in ("pairs.txt", "people.txt"):
            (tmp_path / listed).unlink(missing_ok=True)
    measured = load_faces(name, tmp_path)
    learned = read_people(tmp_path, ["Person_A_0"], 60)
    np.testing.assert_allclose(enlarged_box(measured[0], 1.6), learned.regions[0], atol=1e-4)
    found = CENTRED.landmarks_in(measured[0].box)
    np.testing.assert_allclose(found, learned.landmarks[0], atol=1e-4)


def test_the_hash_sees_every_image(tmp_path: Path) -> None:
    root = lfw(tmp_path)
    before = load_faces("lfw", root).hash()
    assert load_faces("lfw", root).hash() == before
    write_image(root / "Person_A_0" / "Person_A_0_0001.jpg", face(99, 1))
    assert load_faces("lfw", root).hash() != before


def test_folds_are_chosen_by_their_people(tmp_path: Path) -> None:
    faces = load_faces("lfw", lfw(tmp_path, folds=3))
    chosen = faces.of_folds([1, 3])
    names = {faces.people[faces.identity[i]] for i in chosen}
    assert names == {*people_of(1, 6), *people_of(3, 6)}
    with pytest.raises(DataError, match=r"lfw in '.*' has no fold 4, 9; there are: 1, 2, 3"):
        faces.of_folds([4, 2, 9])


def test_drawn_pairs_are_different_and_stay_in_their_fold(tmp_path: Path) -> None:
    faces = load_faces("lfw", lfw(tmp_path))
    pairs = draw_pairs(faces, [1, 2], 30, seed=3)
    assert len(pairs) == 2 * 2 * 30
    assert Counter(zip(pairs.fold.tolist(), pairs.same.tolist(), strict=True)) == {
        (fold, same): 30 for fold in (1, 2) for same in (True, False)
    }
    same = faces.identity[pairs.first] == faces.identity[pairs.second]
    np.testing.assert_array_equal(same, pairs.same)
    for side in (pairs.first, pairs.second):
        np.testing.assert_array_equal(faces.fold[side], pairs.fold)
    assert len({frozenset(p) for p in zip(pairs.first, pairs.second, strict=True)}) == len(pairs)
    again = draw_pairs(faces, [1, 2], 30, seed=3)
    np.testing.assert_array_equal(pairs.first, again.first)
    other = draw_pairs(faces, [1, 2], 30, seed=4)
    assert (pairs.first != other.first).any()


def test_too_few_images_for_so_many_pairs(tmp_path: Path) -> None:
    faces = load_faces("lfw", lfw(tmp_path))
    with pytest.raises(DataError, match=r"fold 2 of lfw has 36 pairs of one person and 240 of two"):
        draw_pairs(faces, [2], 37, seed=0)
    assert len(draw_pairs(faces, [2], 36, seed=0)) == 72  # all that there are


def test_people_are_drawn_into_folds_of_equal_size(tmp_path: Path) -> None:
    for person in range(1, 11):
        for take in (1, 2):
            write_image(tmp_path / f"s{person}" / f"{take}.pgm", face(person, take)[:, :, 0])
    faces = load_faces("orl", tmp_path)
    assert faces.folds == ()
    folded = with_folds(faces, 5, seed=0)
    assert folded.folds == (1, 2, 3, 4, 5)
    assert Counter(folded.fold.tolist()) == dict.fromkeys(range(1, 6), 4)
    for person in range(10):
        assert len(set(folded.fold[folded.identity == person])) == 1
    assert (with_folds(faces, 5, seed=1).fold != folded.fold).any()
    lfw_faces = load_faces("lfw", lfw(tmp_path / "lfw-root"))
    assert with_folds(lfw_faces, 5, seed=0) is lfw_faces  # published folds are kept


def test_an_unknown_set(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown face data set 'lfv' \(did you mean 'lfw'"):
        load_faces("lfv", tmp_path)


def test_a_crop_inside_of_the_picture_is_that_part_of_it() -> None:
    image = face(0, 0)
    at = Face(image, np.array([20, 15, 40, 35.5], np.float32))
    np.testing.assert_allclose(enlarged_box(at, 1.6), [14, 8.85, 46, 41.65])
    part = Image.fromarray(np.ascontiguousarray(image[8:42, 14:46]))
    expected = np.asarray(part.resize((24, 24), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(crop(at, 1.6, 24), expected)


def test_a_crop_beyond_the_picture_repeats_its_edge() -> None:
    image = face(0, 0)
    inside = np.pad(image, ((30, 30), (30, 30), (0, 0)), mode="edge")
    for box in ([0, 20, 20, 40], [45, 50, 60, 65], [-9, 2, 8, 19], [61, 70, 71, 80]):
        at = Face(image, np.array(box, np.float32))
        moved = Face(inside, np.array(box, np.float32) + 30)
        np.testing.assert_array_equal(crop(at, 1.8, 24), crop(moved, 1.8, 24))


def test_a_face_that_fills_the_picture_is_all_of_it() -> None:
    image = face(0, 0)[:50]
    whole = Face(image, np.array([0, 0, 60, 50], np.float32))
    np.testing.assert_array_equal(crop(whole, 1.6, 24), crop(whole, 1.0, 24))
