"""Generated people to verify: the same each time, in pictures that no run has learned from."""

from pathlib import Path

import numpy as np
import pytest

import unseen.data.load  # noqa: F401 - registers the data sets
from unseen.data.duet_faces import face_picture
from unseen.data.face_images import draw_pairs, load_faces, with_folds
from unseen.errors import ConfigError
from unseen.faces.images import draw_people


def test_each_person_has_twelve_pictures_with_landmarks() -> None:
    faces = load_faces("duet-faces:9")
    assert (len(faces), len(faces.people)) == (108, 9)
    assert np.bincount(faces.identity).tolist() == 9 * [12]
    drawn, face = face_picture(600_001, 3, size=96), faces[15]
    np.testing.assert_array_equal(face.image, drawn.image)
    np.testing.assert_array_equal(face.box, drawn.face)
    assert face.landmarks is not None
    np.testing.assert_array_equal(face.landmarks, drawn.landmarks)
    assert faces.identity[15] == 1
    assert faces.paths[15] == "600001/3"


def test_they_are_not_those_whom_runs_learn_from() -> None:
    learned = draw_people(0, 375, 2, 16)  # all of the preset duet-faces
    assert not {f"person-{name}" for name in load_faces("duet-faces").people} & {*learned.names}


def test_the_hash_is_that_of_the_pictures() -> None:
    one, other = load_faces("duet-faces:8"), load_faces("duet-faces:9")
    assert one.hash() == load_faces("duet-faces:8").hash() != other.hash()


def test_people_are_drawn_into_folds_and_pairs() -> None:
    faces = with_folds(load_faces("duet-faces:10"), 4, 0)
    assert faces.folds == (1, 2, 3, 4)
    pairs = draw_pairs(faces, [3, 4], 20, 0)
    assert len(pairs) == 80
    same = faces.identity[pairs.first] == faces.identity[pairs.second]
    np.testing.assert_array_equal(same, pairs.same)


def test_what_cannot_be_loaded() -> None:
    with pytest.raises(ConfigError, match="the faces of 'lfw' are in a folder: name it"):
        load_faces("lfw")
    with pytest.raises(ConfigError, match="at least 8"):
        load_faces("duet-faces:3")
    with pytest.raises(ConfigError, match="'mine' is not read: 'duet-faces:9' is drawn"):
        load_faces("duet-faces:9", Path("mine"))
