"""The face detector: its decoding against nested loops, and a real face at many sizes."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_clips import ASTRONAUT, background, place
from unseen.errors import WeightsError
from unseen.faces import detect
from unseen.faces.detect import NONE, CenterFace, Detections, decode, joined, without_duplicates

# Read off the picture by eye: forehead to chin, ear to ear; and the five points.
FACE = (181, 76, 268, 178)
POINTS = [(203, 101), (246, 103), (222, 124), (204, 141), (242, 143)]


@pytest.fixture(scope="module", params=["exact", "quantised"])
def detector(request: pytest.FixtureRequest) -> CenterFace:
    return CenterFace(0.1, quantised=request.param == "quantised")


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union, by hand."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))


def test_decoding_against_nested_loops() -> None:
    rng = np.random.default_rng(0)
    heat = rng.random((1, 1, 5, 7), np.float32)
    scale = rng.normal(1, 0.5, (1, 2, 5, 7)).astype(np.float32)
    offset = rng.random((1, 2, 5, 7), np.float32)
    landmarks = rng.random((1, 10, 5, 7), np.float32)
    found = decode(heat, scale, offset, landmarks, 0.6)
    count = 0
    for row in range(5):
        for column in range(7):
            if heat[0, 0, row, column] <= 0.6:
                continue
            high = 4 * math.exp(scale[0, 0, row, column])
            wide = 4 * math.exp(scale[0, 1, row, column])
            y = 4 * (row + 0.5 + offset[0, 0, row, column])
            x = 4 * (column + 0.5 + offset[0, 1, row, column])
            expected = [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]
            np.testing.assert_allclose(found.boxes[count], expected, rtol=1e-5)
            assert found.scores[count] == heat[0, 0, row, column]
            for point in range(5):
                down = landmarks[0, 2 * point, row, column] * high + expected[1]
                right = landmarks[0, 2 * point + 1, row, column] * wide + expected[0]
                np.testing.assert_allclose(found.landmarks[count, point], [right, down], rtol=1e-5)
            count += 1
    assert count == len(found) > 5


box = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 30)] * 2)


@settings(deadline=None, max_examples=100)
@given(
    boxes=st.lists(box, max_size=8),
    order=st.randoms(use_true_random=False),
    covered=st.sampled_from([1.0, 1.13, 1.6]),
)
def test_of_duplicates_the_strongest_stays(
    boxes: list[tuple[int, ...]], order: object, covered: float
) -> None:
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.2, len(boxes), dtype=np.float32)
    order.shuffle(shuffled := list(range(len(boxes))))  # type: ignore[attr-defined]
    given = Detections(corners, scores, np.zeros((len(boxes), 5, 2), np.float32))
    kept = without_duplicates(given.take(np.array(shuffled, int)), covered)
    expected: list[int] = []
    grown = corners.copy()
    for i, candidate in enumerate(corners):
        for j in expected:
            other = corners[j]
            width = min(candidate[2], other[2]) - max(candidate[0], other[0])
            height = min(candidate[3], other[3]) - max(candidate[1], other[1])
            inside = max(0.0, width) * max(0.0, height)
            area = (candidate[2] - candidate[0]) * (candidate[3] - candidate[1])

            def within(times: float, one: np.ndarray = candidate, of: np.ndarray = other) -> bool:
                margin = np.float32((times - 1) / 2) * (of[2:] - of[:2])
                low, high = of[:2] - margin, of[2:] + margin
                return bool((one[:2] >= low).all() and (one[2:] <= high).all())

            if (overlap(candidate, other) >= 0.3 and within(1.6)) or inside / area >= 0.8:
                if not within(covered):
                    grown[j, :2] = np.minimum(grown[j, :2], candidate[:2])
                    grown[j, 2:] = np.maximum(grown[j, 2:], candidate[2:])
                break
        else:
            expected.append(i)
    np.testing.assert_array_equal(kept.boxes, grown[expected])
    np.testing.assert_array_equal(kept.scores, scores[expected])


@pytest.mark.parametrize("length", [300, 1445, 1446, 4000, 8000, 19_999])
def test_a_photograph_is_cut_into_parts_that_overlap(length: int) -> None:
    parts = detect._parts(length)
    assert parts[0][0] == 0
    assert sum(parts[-1]) == length
    assert all(size <= 1445 for _, size in parts)
    ends = [start + size for start, size in parts]
    overlaps = [end - start for end, (start, _) in zip(ends, parts[1:], strict=False)]
    # A face that lies on a border of a part is whole in the next one.
    assert all(overlap >= 255 for overlap in overlaps)


def test_small_faces_of_a_large_photograph_are_found() -> None:
    """24 pixels across in 12 megapixels: as they are, not as in a frame of high definition."""
    image = background(0, 3000, 4000)
    places = [(40, 40), (1240, 1400), (1255, 2300), (2487, 860), (3900, 2900), (2000, 1445)]
    faces = [place(image, x, y, 24 / 82) for x, y in places]
    found = CenterFace(0.2, closely=True)(image)
    for face in faces:
        assert max(overlap(box, face) for box in found.boxes) > 0.4
    reduced = CenterFace(0.2)(image)
    assert len(reduced) < len(faces)


def test_parts_are_joined() -> None:
    ones = (np.ones(shape, np.float32) for shape in ((1, 4), (1,), (1, 5, 2)))
    one = Detections(*ones)
    assert len(joined([NONE, one, NONE, one.scaled(2.0)])) == 2
    assert joined([one, one.scaled(2.0)]).boxes[1].tolist() == [2, 2, 2, 2]
    assert joined([one, one.scaled(2.0)]).landmarks[1].max() == 2


def test_a_face_and_its_five_points(detector: CenterFace) -> None:
    found = detector(ASTRONAUT)
    assert (found.scores >= 0.3).sum() == 1
    assert found.scores[0] > 0.8
    assert overlap(found.boxes[0], np.array(FACE)) > 0.6
    assert np.abs(found.landmarks[0] - POINTS).max() < 5
    small = cv2.resize(ASTRONAUT, (256, 256), interpolation=cv2.INTER_AREA)
    half = detector(small)
    assert overlap(half.boxes[0] * 2, found.boxes[0]) > 0.7


@pytest.mark.parametrize("face", [14, 24, 60, 300, 700])
def test_faces_of_every_size_are_found(detector: CenterFace, face: int) -> None:
    """From 14 pixels across up to one that fills a frame of high definition."""
    scale = face / 80
    image = cv2.resize(
        ASTRONAUT[:, 60:380],
        None,
        fx=scale,
        fy=scale,
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
    )[:1080]
    image = cv2.copyMakeBorder(image, 0, max(0, 200 - len(image)), 0, 120, cv2.BORDER_CONSTANT)
    found = detector(image)
    where = (np.array(FACE) - [60, 0, 60, 0]) * scale
    assert found.scores[0] > 0.2
    assert overlap(found.boxes[0], where) > 0.4


def test_a_picture_of_many_pixels(detector: CenterFace) -> None:
    image = cv2.resize(ASTRONAUT, (3000, 3000), interpolation=cv2.INTER_CUBIC)
    found = detector(image)
    assert found.scores[0] > 0.5
    assert overlap(found.boxes[0], np.array(FACE) * 3000 / 512) > 0.5


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (33, 31), (64, 64)])
def test_any_size_of_picture(detector: CenterFace, size: tuple[int, int]) -> None:
    for level in (0, 255):
        found = detector(np.full((*size, 3), level, np.uint8))
        assert found.boxes.shape == (len(found), 4)
        assert not len(found) or found.scores[0] < 0.2


def test_a_glance_sees_what_is_not_small(detector: CenterFace) -> None:
    """At a short side of 240 pixels, or a third of the picture's."""
    for side in (300, 900):
        image = cv2.resize(ASTRONAUT, (side, side), interpolation=cv2.INTER_AREA)
        found = detector.glance(image)
        assert found.scores[0] > 0.5
        assert overlap(found.boxes[0], np.array(FACE) * side / 512) > 0.5
    small = cv2.resize(ASTRONAUT, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    scene = cv2.copyMakeBorder(small, 400, 220, 300, 320, cv2.BORDER_CONSTANT)
    assert scene.shape == (722, 722, 3)
    assert detector(scene).scores.max(initial=0) > 0.5
    assert detector.glance(scene).scores.max(initial=0) < 0.2


def test_within_a_part_of_a_picture_its_faces_are_found(detector: CenterFace) -> None:
    image = background(0, 480, 640)
    one, other = place(image, 400, 300), place(image, 100, 60)
    part = np.array([330.5, 230.5, 520.0, 900.0])
    (found,) = detector.within(image, part).boxes
    assert overlap(found, one) > 0.4
    assert max(overlap(found, box) for box in detector(image).boxes) > 0.75
    (found,) = detector.within(image, np.array([-50.0, -50.0, 200.0, 160.0])).boxes
    assert overlap(found, other) > 0.4
    assert len(detector.within(image, np.array([500.0, 300.0, 640.0, 480.0]))) == 0
    assert detector.within(image, np.array([640.0, 0.0, 700.0, 480.0])) is NONE


def test_the_maps_are_those_that_opencv_computes() -> None:
    """At any size, and in any order of sizes."""
    ours, theirs = (
        detect._network("centerface.onnx"),
        cv2.dnn.readNetFromONNX(np.frombuffer(detect._weights("centerface.onnx"), np.uint8)),
    )
    for height, width in ((64, 96), (128, 64), (64, 96)):
        image = cv2.resize(ASTRONAUT, (width, height), interpolation=cv2.INTER_AREA)
        picture = cv2.dnn.blobFromImage(image)
        theirs.setInput(picture)
        for one, other in zip(ours(picture), theirs.forward(detect._OUTPUTS), strict=True):
            np.testing.assert_allclose(one, other, atol=2e-4)


def test_in_eight_bits_the_maps_are_nearly_the_same() -> None:
    """A face in many places and sizes: its scores, places and sizes, where there is one."""
    exact, quantised = (detect._network(f"centerface{kind}.onnx") for kind in ("", "-int8"))
    tiles = []
    for side in (512, 256, 128, 96):
        tile = cv2.resize(ASTRONAUT, (side, side), interpolation=cv2.INTER_AREA)
        tiles.append(np.tile(tile, (512 // side, 512 // side, 1))[:384])
    # The shift is neither one of cells nor one of whole photographs.
    tiles.append(np.roll(tiles[1], (45, 71), (0, 1)))
    heats, offs = [], []
    for tile in tiles:
        picture = cv2.dnn.blobFromImage(tile)
        (heat, extent, offset, points), other = exact(picture), quantised(picture)
        likely = heat[0, 0] > 0.1
        heats.append(np.stack([heat[0, 0][likely], other[0][0, 0][likely]]).astype(np.float64))
        offs.append([np.abs(a - b)[0][:, likely].mean() for a, b in
                     zip((extent, offset, points), other[1:], strict=True)])  # fmt: skip
        assert (other[0][0, 0][heat[0, 0] < 0.02] < 0.1).all()
    one, two = np.concatenate(heats, 1)
    off = np.log(two / (1 - two)) - np.log(one / (1 - one))
    assert len(off) > 100
    assert abs(off.mean()) < 0.1
    assert off.std() < 0.3
    assert np.max(offs) < 0.06
    assert np.max(offs) > 0


def test_faces_at_the_border_keep_their_place(detector: CenterFace) -> None:
    """Half of the face is cut off: the box reaches beyond the picture instead of moving in."""
    found = detector(np.ascontiguousarray(ASTRONAUT[:, 215:470]))
    assert found.scores[0] > 0.2
    assert found.boxes[0, 0] < 5


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("fault", ["damaged", "missing"])
def test_weights_that_are_not_there(
    fault: str, quantised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "_QUANTISED" if quantised else "_WEIGHTS"
    if fault == "damaged":
        monkeypatch.setitem(detect._SHA256, getattr(detect, name), "0" * 64)
    else:
        monkeypatch.setattr(detect, name, "none.onnx")
    detect._weights.cache_clear()
    try:
        with pytest.raises(WeightsError, match=f"face detector's weights, .*{fault}: install"):
            CenterFace(quantised=quantised)
    finally:
        detect._weights.cache_clear()


@pytest.mark.parametrize("apart", range(0, 45, 3))
def test_of_two_faces_that_touch_nothing_is_dropped_that_is_not_covered(apart: int) -> None:
    """Two people cheek to cheek are no duplicate."""
    boxes = np.array([[100, 100, 140, 150], [100 + apart, 100, 140 + apart, 150]], np.float32)
    points = np.zeros((2, 5, 2), np.float32)
    kept = without_duplicates(Detections(boxes, np.array([0.9, 0.8], np.float32), points)).boxes
    margin = 0.3 * np.array([-40, -50, 40, 50])
    covered = kept + margin
    assert all(
        any((c[:2] <= b[:2] + 1e-3).all() and (c[2:] >= b[2:] - 1e-3).all() for c in covered)
        for b in boxes
    )
    assert len(kept) == (1 if apart <= 12 else 2)
