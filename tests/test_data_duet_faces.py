"""Generated people: the same on each call, themselves in every picture, with exact labels."""

import numpy as np
import pytest

from unseen.data.duet_faces import Person, action_frame, face_picture
from unseen.faces.images import draw_people, face_crops


def test_a_picture_is_a_function_of_person_and_take() -> None:
    one, again = face_picture(3, 1), face_picture(3, 1)
    assert np.array_equal(one.image, again.image)
    assert not np.array_equal(one.image, face_picture(3, 2).image)
    assert not np.array_equal(one.image, face_picture(4, 1).image)


def test_people_are_all_different() -> None:
    assert len({Person.draw(i) for i in range(500)}) == 500


@pytest.mark.parametrize("who", range(5))
def test_the_eyes_are_where_the_landmarks_say(who: int) -> None:
    for take in range(4):
        picture = face_picture(who, take, size=192)
        x0, y0, x1, y1 = picture.face
        assert (picture.landmarks[:, 0] > x0).all()
        assert (picture.landmarks[:, 0] < x1).all()
        assert (picture.landmarks[:, 1] > y0).all()
        assert (picture.landmarks[:, 1] < y1).all()
        left, right, nose, low_left, low_right = picture.landmarks
        assert left[0] < right[0]
        assert low_left[0] < low_right[0]
        assert left[1] < nose[1] < low_left[1]
        grey = picture.image.mean(2)
        skin = np.median(grey[int(y0) : int(y1), int(x0) : int(x1)])
        for x, y in (left, right):
            # The pupil is darker than the white around it and than most of the face.
            around = grey[int(y) - 5 : int(y) + 7, int(x) - 7 : int(x) + 9]
            assert grey[round(y), round(x)] < around.max() - 20
            assert around.max() > skin


def test_actions_have_a_face_and_a_box_in_the_frame() -> None:
    for index in range(12):
        frame = action_frame("train", index, size=96)
        x0, y0, x1, y1 = frame.body
        assert 0 <= x0 < x1 <= 96
        assert 0 <= y0 < y1 <= 96
        centre = (frame.face[:2] + frame.face[2:]) / 2
        assert x0 < centre[0] < x1
        assert y0 < centre[1] < y1
        assert not np.array_equal(frame.image, action_frame("test", index, size=96).image)


def test_as_pictures_to_learn_from() -> None:
    images = draw_people(7, 3, 2, 48)
    assert images.identities.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.names == ("person-7", "person-8", "person-9")
    np.testing.assert_array_equal(images.pictures[3], face_picture(8, 1, size=48).image)
    face = face_picture(8, 1, size=48).face
    sides = images.regions[3][2:] - images.regions[3][:2]
    np.testing.assert_allclose(sides, 1.6 * (face[2:] - face[:2]), rtol=1e-5)
    _, points = face_crops(images, np.arange(6), 32)
    assert (points > 0).all()
    assert (points < 32).all()
