"""Every CPU-size model: gradients, determinism, lengths, sizes, and that it can learn."""

import pytest
import torch
from torch.nn import functional as F

from unseen.errors import ConfigError
from unseen.models import SUITES, create_model, macs

SMALL = [*SUITES["small"], "c3d-small", "c3d-small:8", "mobilenet-gn:0.5"]


@pytest.mark.parametrize("size", [48, 64])
@pytest.mark.parametrize("spec", SMALL)
def test_every_parameter_gets_a_gradient(spec: str, size: int) -> None:
    torch.manual_seed(0)
    model = create_model(spec, 3, size=size, frames=4)
    clips = torch.rand(3, 3, 4, size, size, requires_grad=True)
    logits = model(clips)
    assert logits.shape == (3, 3)
    F.cross_entropy(logits, torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
    silent = [
        name for name, p in model.named_parameters() if p.grad is None or not p.grad.any().item()
    ]
    assert silent == []
    assert clips.grad is not None
    assert torch.isfinite(clips.grad).all()
    assert clips.grad.any()


@pytest.mark.parametrize("spec", SMALL)
def test_evaluation_is_deterministic_and_clip_by_clip(spec: str) -> None:
    torch.manual_seed(0)
    model = create_model(spec, 3, size=48, frames=16)
    model(torch.rand(4, 3, 4, 48, 48))  # running statistics that are not the first ones
    model.eval()
    clips = torch.rand(3, 3, 4, 48, 48)
    with torch.no_grad():
        logits = model(clips)
        assert torch.equal(model(clips), logits)
        alone = torch.cat([model(clip[None]) for clip in clips])
    torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", SMALL)
def test_any_length_and_even_still_clips(spec: str) -> None:
    model = create_model(spec, 3, size=48, frames=16).eval()
    with torch.no_grad():
        for time in (2, 5, 16, 17):
            assert model(torch.rand(1, 3, time, 48, 48)).shape == (1, 3)
        if model.sees != "differences":
            assert model(torch.rand(1, 3, 1, 48, 48)).shape == (1, 3)
        assert torch.isfinite(model(torch.full((1, 3, 4, 48, 48), 0.5))).all()


@pytest.mark.parametrize("spec", SMALL)
def test_what_a_model_sees(spec: str) -> None:
    """Order means nothing to models of frames, and something to those that see motion."""
    torch.manual_seed(0)
    model = create_model(spec, 3, size=48, frames=8).eval()
    clips = torch.rand(2, 3, 8, 48, 48)
    with torch.no_grad():
        logits = model(clips)
        shuffled = model(clips[:, :, [3, 1, 7, 0, 2, 5, 4, 6]])
        same = torch.allclose(logits, shuffled, rtol=1e-4, atol=1e-5)
        assert same == (model.sees == "frames")
        if model.sees == "differences":
            torch.testing.assert_close(
                model(0.5 * clips + 0.25), model(0.5 * clips), rtol=1e-4, atol=1e-5
            )
        if model.sees == "frames":
            halves = (model(clips[:, :, :4]) + model(clips[:, :, 4:])) / 2
            torch.testing.assert_close(halves, logits, rtol=1e-4, atol=1e-5)


def test_a_single_frame_has_no_differences() -> None:
    model = create_model("difference", 3, size=48, frames=16)
    with pytest.raises(ConfigError, match="at least 2 frames"):
        model(torch.rand(1, 3, 1, 48, 48))


@pytest.mark.parametrize("spec", SUITES["small"])
def test_attackers_are_cheap(spec: str) -> None:
    clip = torch.rand(1, 3, 16, 48, 48)
    assert macs(create_model(spec, 13, size=48, frames=16), clip) / 16 < 10e6


def _stripes(clips: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Stripes that jump from frame to frame: reddish lying ones, bluish standing ones."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(clips) % 2
    phase = 6.3 * torch.rand(clips, 1, 4, 1, generator=generator)
    wave = 0.5 + 0.2 * torch.sin(torch.arange(32) * 1.5 + phase)
    standing = wave[..., None, :].expand(-1, 3, -1, 32, -1)
    lying = standing.transpose(3, 4)
    colour = torch.tensor([0.3, 0.6, 1.0]).view(1, 3, 1, 1, 1)
    is_standing = labels.view(-1, 1, 1, 1, 1) == 1
    frames = torch.where(is_standing, standing * colour, lying * colour.flip(1))
    noise = 0.02 * torch.randn(frames.shape, generator=generator)
    return (frames + noise).clamp(0, 1), labels


@pytest.mark.parametrize("spec", SMALL)
def test_every_small_model_fits_a_toy_set(spec: str) -> None:
    torch.manual_seed(0)
    model = create_model(spec, 2, size=32, frames=4)
    clips, labels = _stripes(8)
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for step in range(100):
        loss = F.cross_entropy(model(clips), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % 10 == 9:  # in evaluation mode, with the running statistics of training
            with torch.no_grad():
                fitted = (model.eval()(clips).argmax(1) == labels).all()
            model.train()
            if fitted and loss.item() < 0.1:
                return
    pytest.fail(f"{spec} has not fitted eight clips in 100 steps, loss {loss.item():.3f}")
