"""dlib's pretrained network on a real face: its author's threshold of 0.6 tells people apart."""

import cv2
import numpy as np
import pytest

from face_clips import head
from unseen.data.face_images import Face
from unseen.models.recogniser_dlib import Dlib
from video_files import Images

_LOW, _HIGH = (38, 38), (142, 176)
BOX = np.array([*_LOW, *_HIGH], np.float32)
SAME = 0.6


@pytest.fixture(scope="module")
def dlib() -> Dlib:
    return Dlib()


def distance(dlib: Dlib, image: Images, box: np.ndarray = BOX) -> float:
    """Between the face as it is, and as it became."""
    faces = [Face(head(1.0), BOX), Face(np.ascontiguousarray(image), box.astype(np.float32))]
    features = dlib.features(faces)
    assert features.shape == (2, 128)
    assert features.dtype == np.float32
    return float(-dlib.similarity(features[:1], features[1:])[0])


def blurred(cells: int) -> Images:
    """The face through so many cells each way, smoothly enlarged, as Ren18's blur."""
    image = head(1.0).copy()
    inside = image[_LOW[1] : _HIGH[1], _LOW[0] : _HIGH[0]]
    small = cv2.resize(inside, (cells, cells), interpolation=cv2.INTER_AREA)
    inside[:] = cv2.resize(small, inside.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return image


def test_one_face_is_itself_in_other_pictures(dlib: Dlib) -> None:
    assert distance(dlib, head(1.0)) == 0
    assert distance(dlib, head(0.6), BOX * 0.6) < 0.4
    assert distance(dlib, (head(1.0) * 0.6).astype(np.uint8)) < 0.4
    mirrored = BOX.copy()
    mirrored[[0, 2]] = head(1.0).shape[1] - BOX[[2, 0]]
    assert distance(dlib, head(1.0)[:, ::-1], mirrored) < 0.4


def test_less_is_recognised_the_less_is_left(dlib: Dlib) -> None:
    fine, coarse = distance(dlib, blurred(24)), distance(dlib, blurred(8))
    black = distance(dlib, np.zeros_like(head(1.0)))
    assert 0.3 < fine < SAME < coarse < black


def test_similarity_is_minus_the_distance(dlib: Dlib) -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 5, 128)).astype(np.float32)
    expected = [-np.sqrt(sum((a - b) ** 2)) for a, b in zip(first, second, strict=True)]
    assert dlib.similarity(first, second) == pytest.approx(expected, rel=1e-5)
