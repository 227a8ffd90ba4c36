"""Handcrafted anonymizers against nested loops, and their properties at any size."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.anonymizers.base import Anonymizer
from unseen.anonymizers.handcrafted import ANONYMIZERS
from unseen.errors import ConfigError, DataError, UnknownNameError
from unseen.registry import Spec

WHOLE_FRAME = ["raw", "grey", "downsample:4", "downsample:5", "blur:8", "blur:7", "pixelate:6"]
MASKS = ["mask-face", "mask-body"]
# Those of `unseen.anonymizers.baselines` are tested beside it.
OTHERS = ["mask", "noise:0.1", "superpixel:16", "edge", "resized:6"]
NAN = math.nan


def _make(text: str) -> Anonymizer:
    spec = Spec.parse(text)
    return ANONYMIZERS[spec.name](spec)


def _clips(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def _boxes(*boxes: tuple[float, float, float, float]) -> torch.Tensor:
    """One clip of one frame with these boxes."""
    return torch.tensor(boxes, dtype=torch.float32).view(1, 1, -1, 4)


def _naive_cells(frame: np.ndarray, rows: int, columns: int) -> np.ndarray:
    height, width = frame.shape
    cells = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, bottom = math.floor(i * height / rows), math.ceil((i + 1) * height / rows)
            left, right = math.floor(j * width / columns), math.ceil((j + 1) * width / columns)
            values = [frame[y, x] for y in range(top, bottom) for x in range(left, right)]
            cells[i, j] = sum(values) / len(values)
    return cells


def _naive_bilinear(cells: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = cells.shape
    enlarged = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * rows / height - 0.5, 0), rows - 1)
            u = min(max((x + 0.5) * columns / width - 0.5, 0), columns - 1)
            i, j = int(v), int(u)
            below, right = min(i + 1, rows - 1), min(j + 1, columns - 1)
            enlarged[y, x] = (
                cells[i, j] * (1 - v + i) * (1 - u + j)
                + cells[i, right] * (1 - v + i) * (u - j)
                + cells[below, j] * (v - i) * (1 - u + j)
                + cells[below, right] * (v - i) * (u - j)
            )
    return enlarged


def _naive_nearest(cells: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = cells.shape
    return np.array(
        [
            [cells[y * rows // height, x * columns // width] for x in range(width)]
            for y in range(height)
        ]
    )


@pytest.mark.parametrize(
    ("name", "size", "reduced"),
    [
        ("downsample:4", (16, 24), (4, 6)),
        ("downsample:5", (16, 23), (3, 5)),  # 3.2 and 4.6 pixels
        ("downsample:28", (16, 23), (1, 1)),
        ("blur:5", (16, 24), (5, 8)),  # 7.5 pixels
        ("blur:8", (24, 16), (12, 8)),
        ("pixelate:4", (16, 24), (4, 6)),
        ("pixelate:5", (23, 16), (7, 5)),  # 7.2 blocks
    ],
)
def test_against_nested_loops(name: str, size: tuple[int, int], reduced: tuple[int, int]) -> None:
    clips = _clips(2, 3, 2, *size)
    anonymized = _make(name)(clips).numpy()
    enlarge = _naive_nearest if name.startswith("pixelate") else _naive_bilinear
    for clip, channel, time in np.ndindex(2, 3, 2):
        cells = _naive_cells(clips[clip, channel, time].numpy(), *reduced)
        np.testing.assert_allclose(
            anonymized[clip, channel, time], enlarge(cells, *size), atol=1e-5
        )


def test_grey_is_the_mean_of_the_channels() -> None:
    clips = _clips(2, 3, 2, 5, 4)
    grey = _make("grey")(clips)
    for channel in range(3):
        torch.testing.assert_close(grey[:, channel], (clips[:, 0] + clips[:, 1] + clips[:, 2]) / 3)


def test_raw_and_a_rate_of_one_change_nothing() -> None:
    clips = _clips(1, 3, 2, 17, 12)
    assert torch.equal(_make("raw")(clips), clips)
    torch.testing.assert_close(_make("downsample:1")(clips), clips)


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(WHOLE_FRAME),
    height=st.integers(9, 40),
    width=st.integers(9, 40),
    time=st.integers(1, 3),
    level=st.floats(0, 1, width=32),
)
def test_shape_range_and_constant_frames_at_any_size(
    name: str, height: int, width: int, time: int, level: float
) -> None:
    anonymizer = _make(name)
    clips = _clips(2, 3, time, height, width).round()  # the extremes, 0 and 1
    anonymized = anonymizer(clips)
    assert anonymized.shape == clips.shape
    assert anonymized.dtype == torch.float32
    assert anonymized.min() >= 0
    assert anonymized.max() <= 1
    constant = torch.full((1, 3, time, height, width), level)
    torch.testing.assert_close(anonymizer(constant), constant)


@pytest.mark.parametrize("name", WHOLE_FRAME)
def test_frames_are_anonymized_one_by_one(name: str) -> None:
    """Causal, without a state, whatever the batch: stretches give what one call does."""
    anonymizer = _make(name)
    clips = _clips(2, 3, 5, 20, 26)
    whole = anonymizer(clips)
    state, stretches = None, []
    for start, end in ((0, 1), (1, 4), (4, 5)):
        step = anonymizer.step(clips[:, :, start:end], state)
        state = step.state
        stretches.append(step.clips)
    torch.testing.assert_close(torch.cat(stretches, 2), whole)
    torch.testing.assert_close(anonymizer(clips[1:])[0], whole[1])


@pytest.mark.parametrize(
    ("name", "cell"), [("downsample:4", 4), ("downsample:5", 5), ("blur:8", 5), ("pixelate:10", 4)]
)
def test_detail_within_a_cell_is_gone(name: str, cell: int) -> None:
    anonymizer = _make(name)
    clips = _clips(1, 3, 1, 40, 40)
    other = clips.reshape(1, 3, 1, 40, 40 // cell, cell).flip(-1).reshape(clips.shape)
    assert not torch.allclose(other, clips)
    torch.testing.assert_close(anonymizer(other), anonymizer(clips))


def test_colour_is_gone_from_grey() -> None:
    clips = _clips(1, 3, 1, 8, 8)
    torch.testing.assert_close(_make("grey")(clips.flip(1)), _make("grey")(clips))


@pytest.mark.parametrize("name", [*WHOLE_FRAME, *MASKS, *OTHERS])
def test_names_and_defaults(name: str) -> None:
    anonymizer = _make(name)
    assert anonymizer.name == name
    assert anonymizer.random == name.startswith("noise")
    assert anonymizer.working_size is None
    assert anonymizer.needs_boxes == {"mask-face": "face", "mask-body": "body"}.get(name)
    assert list(anonymizer.parameters()) == []


def test_every_registered_anonymizer_is_tested() -> None:
    assert {name.partition(":")[0] for name in [*WHOLE_FRAME, *MASKS, *OTHERS]} == set(ANONYMIZERS)
    with pytest.raises(UnknownNameError, match="did you mean 'pixelate'"):
        _make("pixellate:4")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raw:2", "takes no option"),
        ("mask-face:2", "takes no option"),
        ("blur", "'blur' needs a number"),
        ("downsample:0", "at least 1"),
        ("pixelate:2.5", "whole number"),
    ],
)
def test_bad_options(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _make(name)


@pytest.mark.parametrize("name", ["blur:16", "pixelate:20"])
def test_a_strength_that_removes_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="remove nothing from frames of 24x16 pixels"):
        _make(name)(_clips(1, 3, 1, 16, 24))
    least = _make(name).least_side
    assert _make(name)(_clips(1, 3, 1, least, 60)).shape[-2] == least
    with pytest.raises(ConfigError):
        _make(name)(_clips(1, 3, 1, least - 1, 60))


box_corner = st.integers(-24, 80).map(lambda quarter: quarter / 4)


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["face", "body"]),
    corners=st.lists(st.tuples(*[box_corner] * 4), min_size=1, max_size=3),
)
def test_masks_against_nested_loops(
    kind: str, corners: list[tuple[float, float, float, float]]
) -> None:
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    clips = _clips(1, 3, 1, 11, 14) + 0.1
    masked = _make(f"mask-{kind}")(clips, _boxes(*boxes))
    # Enlarged by 1.6, each side moves out by 0.3 of the box.
    margin = 0.3 if kind == "face" else 0.0
    for y in range(11):
        for x in range(14):
            depth = -math.inf  # how far the pixel's square reaches into the nearest box
            for x0, y0, x1, y1 in boxes:
                out_x, out_y = margin * (x1 - x0), margin * (y1 - y0)
                across = min(x + 1 - (x0 - out_x), x1 + out_x - x)
                down = min(y + 1 - (y0 - out_y), y1 + out_y - y)
                depth = max(depth, min(across, down))
            if kind == "face" and abs(depth) < 1e-4:
                continue  # the edges coincide, within rounding
            expected = torch.zeros(3) if depth > 0 else clips[0, :, 0, y, x]
            assert torch.equal(masked[0, :, 0, y, x], expected)


def test_masks_take_each_frame_and_clip_its_own_boxes() -> None:
    clips = torch.ones(2, 3, 3, 8, 8)
    boxes = torch.full((2, 3, 2, 4), NAN)
    boxes[0, 1, 1] = torch.tensor([2.0, 3.0, 4.0, 6.0])
    boxes[1, 2, 0] = torch.tensor([0.0, 0.0, 8.0, 8.0])
    boxes[1, 2, 1] = torch.tensor([1.0, 1.0, 2.0, 2.0])
    masked = _make("mask-body")(clips, boxes)
    expected = torch.ones(2, 3, 3, 8, 8)
    expected[0, :, 1, 3:6, 2:4] = 0
    expected[1, :, 2] = 0
    assert torch.equal(masked, expected)
    assert torch.equal(clips, torch.ones(2, 3, 3, 8, 8))  # the input is left as it was


def test_a_pixel_that_a_box_only_touches_is_masked() -> None:
    masked = _make("mask-body")(torch.ones(1, 3, 1, 6, 6), _boxes((1.9, 2.0, 3.1, 3.0)))
    assert (masked[0, 0, 0] == 0).nonzero().tolist() == [[2, 1], [2, 2], [2, 3]]


def test_face_boxes_are_enlarged() -> None:
    masked = _make("mask-face")(torch.ones(1, 3, 1, 32, 32), _boxes((10, 10, 20, 20)))
    assert (masked[0, 0, 0] == 0).nonzero().unique().tolist() == list(range(7, 23))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", MASKS)
def test_masks_without_usable_boxes_fail_closed(name: str) -> None:
    anonymizer, clips = _make(name), _clips(1, 3, 1, 8, 8)
    with pytest.raises(ConfigError, match=f"'{name}' needs {name[5:]} boxes"):
        anonymizer(clips)
    with pytest.raises(DataError, match=r"shape \(batch, time, boxes, 4\)"):
        anonymizer(clips, _boxes((1, 1, 2, 2)).expand(1, 2, 1, 4))
    for broken in ((1, 1, NAN, 2), (5, 1, 2, 2), (1, 4, 2, 2), (1, 1, math.inf, 2)):
        with pytest.raises(DataError, match=r"1 boxes are not .*clip 0, frame 0"):
            anonymizer(clips, _boxes((1, 1, 2, 2), broken))


def test_gradients_pass_through() -> None:
    for name in WHOLE_FRAME:
        clips = _clips(1, 3, 2, 20, 20).requires_grad_()
        _make(name)(clips).sum().backward()
        assert clips.grad is not None
        # Every one of them averages: what a pixel gives away, its neighbours get.
        torch.testing.assert_close(clips.grad.sum(), torch.tensor(float(clips.numel())))


def test_pixelate_has_eight_blocks_unless_told_otherwise() -> None:
    clips = torch.rand(1, 3, 2, 24, 24)
    plain, eight, four = (_make(f"pixelate{n}")(clips) for n in ("", ":8", ":4"))
    assert torch.equal(plain, eight)
    assert not torch.equal(plain, four)
