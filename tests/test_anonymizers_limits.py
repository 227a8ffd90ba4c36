"""Limits against naive loops, and what a filter made of them cannot do."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from unseen.anonymizers.learned import FilterConfig, LearnedFilter
from unseen.anonymizers.limits import INPUT_LIMITS, OUTPUT_LIMITS
from unseen.errors import ConfigError, UnknownNameError
from unseen.registry import Spec


def _input(text: str):  # type: ignore[no-untyped-def]
    spec = Spec.parse(text)
    return INPUT_LIMITS[spec.name](spec)


def _output(text: str):  # type: ignore[no-untyped-def]
    spec = Spec.parse(text)
    return OUTPUT_LIMITS[spec.name](spec)


def _clips(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_grey_in_is_luma() -> None:
    clips = _clips(2, 3, 3, 4, 5)
    grey, state = _input("grey-in").step(clips, None)
    r, g, b = clips.double().unbind(1)
    torch.testing.assert_close(grey[:, 0].double(), 0.299 * r + 0.587 * g + 0.114 * b)
    assert grey.shape == (2, 1, 3, 4, 5)
    assert state is None


def test_grey_of_grey_is_itself() -> None:
    clips = _clips(1, 1, 2, 4, 4)
    assert torch.equal(_input("grey-in").step(clips, None)[0], clips)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.8])
def test_motion_is_a_naive_running_mean(keep: float) -> None:
    clips = _clips(2, 3, 6, 3, 4)
    limit = _input(f"motion:{keep}")
    moved, state = limit.step(clips, None)
    pixels = clips.double().numpy()
    grey = 0.299 * pixels[:, 0] + 0.587 * pixels[:, 1] + 0.114 * pixels[:, 2]
    for b, y, x in itertools.product(range(2), range(3), range(4)):
        mean = grey[b, 0, y, x]
        for t in range(6):
            expected = limit.GAIN * (grey[b, t, y, x] - mean)
            assert float(moved[b, 0, t, y, x]) == pytest.approx(expected, abs=1e-5)
            mean = keep * mean + (1 - keep) * grey[b, t, y, x]
        assert float(state[b, 0, y, x]) == pytest.approx(mean, abs=1e-6)


def test_a_still_video_shows_nothing_and_a_first_frame_never_does() -> None:
    limit = _input("motion:0.8")
    still = _clips(1, 3, 1, 4, 4).expand(-1, -1, 5, -1, -1)
    assert limit.step(still, None)[0].abs().max() < 1e-5
    assert (limit.step(_clips(1, 3, 5, 4, 4), None)[0][:, :, 0] == 0).all()


def test_coarse_is_a_naive_block_mean() -> None:
    frames = _clips(2, 3, 8, 12)
    coarse = _output("coarse:4")(frames, (8, 12))
    assert coarse.shape == (2, 3, 2, 3)
    for f, c, i, j in itertools.product(range(2), range(3), range(2), range(3)):
        block = frames[f, c, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
        assert float(coarse[f, c, i, j]) == pytest.approx(float(block.mean()), abs=1e-6)


def test_coarse_counts_pixels_of_the_shown_frame() -> None:
    """Frames that come at a quarter of the size are halved by `coarse:8`, kept by `coarse:4`."""
    frames = _clips(1, 1, 6, 6)
    halved = _output("coarse:8")(frames, (24, 24))
    assert halved.shape[-2:] == (3, 3)
    assert float(halved[0, 0, 1, 2]) == pytest.approx(float(frames[0, 0, 2:4, 4:6].mean()))
    assert torch.equal(_output("coarse:4")(frames, (24, 24)), frames)
    assert _output("coarse:100")(frames, (24, 24)).shape[-2:] == (1, 1)


def test_grey_is_the_mean_of_the_channels() -> None:
    frames = _clips(2, 3, 4, 4)
    expected = (frames[:, 0] + frames[:, 1] + frames[:, 2]) / 3
    torch.testing.assert_close(_output("grey")(frames, (4, 4))[:, 0], expected)


@pytest.mark.parametrize("levels", [2, 5])
def test_levels_are_the_nearest_and_gradients_pass_straight(levels: int) -> None:
    frames = _clips(1, 1, 16, 16).requires_grad_()
    rounded = _output(f"levels:{levels}")(frames, (16, 16))
    values = [k / (levels - 1) for k in range(levels)]
    for pixel, found in zip(
        frames.detach().flatten().tolist(), rounded.flatten().tolist(), strict=True
    ):
        assert found == pytest.approx(min(values, key=lambda v: abs(v - pixel)), abs=1e-6)
    weight = _clips(1, 1, 16, 16, seed=1)
    (gradient,) = torch.autograd.grad((rounded * weight).sum(), frames)
    assert torch.equal(gradient, weight)


def test_noise_has_its_deviation_and_is_fresh_for_every_value() -> None:
    torch.manual_seed(0)
    limit = _output("noise:0.15")
    assert limit.random
    frames = torch.full((4, 1, 64, 64), 0.5)
    noise = (limit(frames, (64, 64)) - frames).flatten(1)
    assert float(noise.std()) == pytest.approx(0.15, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.01)
    correlations = np.corrcoef(noise.numpy())[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.06
    assert not torch.equal(limit.eval()(frames, (64, 64)), limit(frames, (64, 64)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("motion:1", "'motion:1': the weight of the past must be below 1, as in 'motion:0.8'"),
        ("grey-in:2", "'grey-in' takes no option"),
    ],
)
def test_bad_input_limits(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _input(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grey:2", "'grey' takes no option"),
        ("coarse", "'coarse' needs a number"),
        ("coarse:2.5", "must be a whole number"),
        ("noise", "'noise' needs a number"),
        ("noise:-1", "must be at least 0"),
        ("levels:1", "must be at least 2"),
    ],
)
def test_bad_output_limits(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _output(text)


def test_unknown_limits() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown output limit 'nois' \(did you mean"):
        _output("nois:1")
    with pytest.raises(UnknownNameError, match="unknown input limit 'grey'"):
        LearnedFilter(FilterConfig(input_limits=("grey",)), size=16)


FILTERS = {
    "plain": FilterConfig(width=8, blocks=2),
    "motion": FilterConfig(width=8, blocks=2, channels=1, input_limits=("motion:0.8",)),
    "limited": FilterConfig(
        width=8, blocks=3, input_limits=("grey-in", "motion:0.5"),
        output_limits=("grey", "coarse:8", "levels:64"),
    ),
    "johnson": FilterConfig(
        network="johnson", width=4, blocks=1, input_limits=("motion:0.8",),
        output_limits=("coarse:4",),
    ),
}  # fmt: skip


def _filter(name: str) -> LearnedFilter:
    """Random weights, those too that start as constants."""
    torch.manual_seed(0)
    learned = LearnedFilter(FILTERS[name], size=16).eval()
    with torch.no_grad():
        for parameter in learned.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return learned


@pytest.mark.parametrize("stretch", [1, 3, 7])
@pytest.mark.parametrize("name", FILTERS)
@torch.no_grad()
def test_a_video_in_stretches_is_the_whole_video(name: str, stretch: int) -> None:
    learned, clips = _filter(name), _clips(2, 3, 15, 16, 20)
    whole = learned(clips)
    state, parts = None, []
    for start in range(0, 15, stretch):
        step = learned.step(clips[:, :, start : start + stretch], state)
        state = step.state
        parts.append(step.clips)
    torch.testing.assert_close(torch.cat(parts, 2), whole, rtol=1e-5, atol=1e-5)
    # The state matters: without it, the stretches would differ.
    alone = learned(clips[:, :, 14:])
    assert name == "johnson" or (alone - whole[:, :, 14:]).abs().max() > 1e-3


@pytest.mark.parametrize("name", FILTERS)
@torch.no_grad()
def test_no_frame_knows_the_future(name: str) -> None:
    learned, clips = _filter(name), _clips(1, 3, 8, 16, 16)
    before = learned(clips)
    for t in (3, 7):
        changed = clips.clone()
        changed[:, :, t] = 1 - changed[:, :, t]
        after = learned(changed)
        torch.testing.assert_close(after[:, :, :t], before[:, :, :t], rtol=0, atol=1e-6)
        assert (after[:, :, t] - before[:, :, t]).abs().max() > 1e-3


@pytest.mark.parametrize("name", FILTERS)
@torch.no_grad()
def test_no_clip_knows_the_others(name: str) -> None:
    learned, clips = _filter(name), _clips(3, 3, 6, 16, 16)
    together = learned(clips)
    for i in range(3):
        torch.testing.assert_close(learned(clips[i : i + 1])[0], together[i], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_limited_output_carries_no_more_than_its_grid() -> None:
    """`coarse:8` on 16 x 16 leaves four grey values a frame, of 64 levels each."""
    learned = _filter("limited")
    out = learned(_clips(2, 3, 6, 16, 16))
    assert (out == out[:, :1]).all()
    corners = out[:, 0, :, ::15, ::15]
    assert torch.isclose(corners * 63, (corners * 63).round(), atol=1e-4).all()
    enlarged = torch.nn.functional.interpolate(
        corners.flatten(0, 1).unsqueeze(1), (16, 16), mode="bilinear"
    )
    torch.testing.assert_close(out[:, 0].flatten(0, 1), enlarged[:, 0])
