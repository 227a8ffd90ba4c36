"""An anonymizer inside of boxes: what is inside is gone, what is outside is as it was."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.anonymizers.load import load_anonymizer
from unseen.data.codec import Image
from unseen.deploy.paint import on_faces
from unseen.errors import ConfigError, VideoError
from unseen.faces.manual import ManualBox
from unseen.faces.region import FaceRegions, Patch, strength
from video_files import noise

IMAGE = noise(1, 40, 60)[0]


def named(name: str, **options: Any) -> FaceRegions:
    anonymizer = load_anonymizer(name)
    act = on_faces(anonymizer, "cpu")
    return FaceRegions(act, least_side=anonymizer.least_side, **options)


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([x0, y0, x1, y1], np.float64)


corner, side = st.integers(-80, 240).map(lambda x: x / 4), st.integers(1, 160).map(lambda x: x / 4)


@settings(deadline=None, max_examples=60)
@given(
    x=corner, y=corner, width=side, height=side,
    shape=st.sampled_from(["box", "ellipse"]), feather=st.sampled_from([0.0, 0.25, 1.0]),
)  # fmt: skip
def test_strength_against_a_loop_over_pixels(
    x: float, y: float, width: float, height: float, shape: str, feather: float
) -> None:
    weights = strength(box(x, y, x + width, y + height), (2, 1, 14, 11), shape, feather)
    assert weights.shape == (10, 12)
    for row in range(1, 11):
        for column in range(2, 14):
            # The nearest point of the pixel's square to the box's centre, in halves of the box.
            across = min(max(x + width / 2, column), column + 1) - (x + width / 2)
            down = min(max(y + height / 2, row), row + 1) - (y + height / 2)
            u, v = abs(across) / (width / 2), abs(down) / (height / 2)
            radius = math.hypot(u, v) if shape == "ellipse" else max(u, v)
            if abs(radius - 1) < 1e-9 and not feather:
                continue  # the pixel only touches
            expected = 1.0 if radius <= 1 else max(0.0, 1 - (radius - 1) / (feather or 1e-12))
            assert weights[row - 1, column - 2] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shape", ["box", "ellipse"])
@pytest.mark.parametrize("feather", [0.0, 0.5])
def test_nothing_of_the_face_is_left_and_all_else_is(shape: str, feather: float) -> None:
    where = box(10.5, 8.0, 30.2, 28.0)
    painted = FaceRegions(None, shape=shape, feather=feather)(IMAGE, {0: where})
    masked = named("mask", shape=shape, feather=feather)(IMAGE, {0: where})
    np.testing.assert_array_equal(painted, masked)
    weights = strength(where, (0, 0, 60, 40), shape, feather)
    assert (painted[weights == 1] == 0).all()
    np.testing.assert_array_equal(painted[weights == 0], IMAGE[weights == 0])
    expected = np.rint(IMAGE * (1 - weights[..., None]))
    assert np.abs(painted - expected).max() <= 1
    assert ((weights > 0) & (weights < 1)).any() == bool(feather)


def test_every_anonymizer_works_in_boxes_on_every_border() -> None:
    boxes = {
        0: box(-5, -5, 12, 9), 1: box(50, 30, 75, 55), 2: box(20, 10, 44, 33), 3: box(70, 5, 80, 9),
    }  # fmt: skip
    outside = np.ones((40, 60), bool)
    outside[0:9, 0:12] = outside[30:40, 50:60] = outside[10:33, 20:44] = False
    names = ["blur:8", "pixelate:4", "noise:0.3", "superpixel:16", "edge", "mask", "mask-face"]
    for name in [*names, "downsample:8", "grey"]:
        before = IMAGE.copy()
        painted = named(name)(IMAGE, boxes)
        np.testing.assert_array_equal(painted[outside], IMAGE[outside], err_msg=name)
        assert (painted[~outside] != IMAGE[~outside]).mean() > 0.9, name
        np.testing.assert_array_equal(IMAGE, before)
    # A face fills its box, so that `mask-face` blackens all of it.
    assert (named("mask-face")(IMAGE, boxes)[~outside] == 0).all()


def test_blur_leaves_so_many_pixels_of_the_box() -> None:
    """Ren18's baseline: the box, not the frame, is reduced to 8x8."""
    painted = named("blur:8")(IMAGE, {0: box(10, 4, 42, 36)})
    crop = torch.from_numpy(IMAGE[4:36, 10:42]).permute(2, 0, 1)[None] / 255
    cells = crop.reshape(1, 3, 8, 4, 8, 4).mean((3, 5))
    expected = torch.nn.functional.interpolate(cells, (32, 32), mode="bilinear")
    got = painted[4:36, 10:42].astype(float) / 255
    assert np.abs(got - expected[0].permute(1, 2, 0).numpy()).max() < 0.5 / 255 + 1e-6


def test_a_face_too_small_to_be_blurred_is_black() -> None:
    painted = named("blur:16")(IMAGE, {0: box(10, 10, 26, 26), 1: box(30, 10, 47, 27)})
    assert (painted[10:26, 10:26] == 0).all()
    assert (painted[10:27, 30:47] > 0).all()


def test_where_boxes_overlap_the_raw_picture_does_not_come_back() -> None:
    """The border of the second box lies on the first: under it is what the first one left."""
    painted = named("mask", feather=1.0)(IMAGE, {0: box(10, 10, 30, 30), 1: box(34, 10, 50, 30)})
    assert (painted[10:30, 10:30] == 0).all()
    both = named("blur:2", feather=1.0)(IMAGE, {0: box(10, 10, 30, 30), 1: box(20, 10, 40, 30)})
    assert np.corrcoef(both[12:28, 12:28].ravel(), IMAGE[12:28, 12:28].ravel())[0, 1] < 0.3


def test_a_small_box_in_a_large_one_brings_nothing_back() -> None:
    """It shows what the large one left, whichever comes first or last."""
    large, small = box(4, 2, 56, 38), box(20, 12, 32, 24)
    alone = named("blur:4")(IMAGE, {0: large})
    for boxes in ({0: large, 1: small}, {1: small, 0: large}):
        both = named("blur:4")(IMAGE, boxes)
        seen = [np.corrcoef(x[12:24, 20:32].ravel(), IMAGE[12:24, 20:32].ravel())[0, 1]
                for x in (alone, both)]  # fmt: skip
        assert seen[1] < seen[0] + 0.1 < 0.5


def test_a_box_that_the_border_cuts_is_blurred_as_a_whole_one() -> None:
    """With the edge repeated beyond it, cells are as large as those of the whole box."""
    where = box(-24, 4, 8, 36)
    painted = named("blur:4")(IMAGE, {0: where})
    wide = np.pad(IMAGE, ((0, 0), (24, 0), (0, 0)), mode="edge")
    expected = named("blur:4")(wide, {0: box(0, 4, 32, 36)})[:, 24:]
    np.testing.assert_array_equal(painted, expected)
    # A strip of 8 pixels is as wide as one cell, so that nothing but its mean is left across it.
    assert (
        np.ptp(painted[4:36, 0:8].astype(int), axis=1).max()
        < np.ptp(IMAGE[4:36, 0:8], axis=1).max()
    )
    far = named("blur:4")(IMAGE, {0: box(-1e9, -1e9, 1e9, 1e9)})
    assert far.shape == IMAGE.shape
    assert np.corrcoef(far.ravel(), IMAGE.ravel())[0, 1] < 0.3


def test_each_track_has_a_memory_of_its_own() -> None:
    told: list[tuple[int, Any]] = []

    def count(image: Image, state: Any, where: str, time: float) -> Patch:
        assert (where, time) == ("frame 3", 0.12)
        told.append((image.shape[1], state))
        return Patch(image, (state or 0) + 1)

    regions = FaceRegions(count)
    one, other = box(1, 1, 6, 6), box(20, 20, 30, 30)
    for boxes in ({1: one}, {1: one, 2: other}, {2: other}, {1: one, 2: other}):
        regions(IMAGE, boxes, "frame 3", 0.12)
    assert told == [(5, None), (5, 1), (10, None), (10, 1), (5, None), (10, 2)]


def test_boxes_that_a_person_drew_are_covered_whole() -> None:
    """A face's corners may reach into theirs, which nothing enlarges."""
    where = box(5, 6, 25, 30)
    painted = FaceRegions(None, shape="ellipse")(IMAGE, {-1: where})
    assert (painted[6:30, 5:25] == 0).all()
    painted = FaceRegions(None, shape="ellipse")(IMAGE, {1: where})
    assert (painted[6:30, 5:25] != 0).any()


@pytest.mark.parametrize("wrong", [(math.nan, 1, 5, 5), (9, 1, 5, 5), (1, 1, 5, math.inf)])
def test_a_box_that_would_cover_nothing_ends_it(wrong: tuple[float, float, float, float]) -> None:
    with pytest.raises(VideoError, match="in frame 7 is none: nothing is covered by it"):
        FaceRegions(None)(IMAGE, {1: box(1, 1, 6, 6), 2: box(*wrong)}, "frame 7")
    with pytest.raises(ConfigError, match="is none: give x0 < x1 and y0 < y1 in pixels"):
        ManualBox(wrong)
