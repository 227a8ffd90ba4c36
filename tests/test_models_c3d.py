"""C3D against its published layers, and the small one."""

import itertools

import pytest
import torch

from unseen.models import create_model, macs, parameter_count
from unseen.models.c3d import C3D


def test_c3d_has_the_published_layers() -> None:
    with torch.device("meta"):
        model = create_model("c3d", 487, size=112, frames=16)
        assert isinstance(model, C3D)
        clip = torch.rand(1, 3, 16, 112, 112)
        assert model.features(clip).shape == (1, 512, 1, 4, 4)  # nothing left to pool adaptively
        # Tran et al. 2015: 38.5 billion multiply-accumulates, dropout 0.5.
        assert macs(model, clip) == pytest.approx(38.5e9, rel=0.01)
    channels = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = sum(27 * i * o + o for i, o in itertools.pairwise(channels))
    linear = [8192, 4096, 4096, 487]
    layers = sum(i * o + o for i, o in itertools.pairwise(linear))
    assert parameter_count(model) == convolutions + layers == 79_991_015
    assert [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)] == [0.5, 0.5]


def test_c3d_learns_from_every_parameter_and_lengthens_short_clips() -> None:
    torch.manual_seed(0)
    model = create_model("c3d", 3, size=16, frames=16)
    clip = torch.rand(1, 3, 5, 16, 16)
    model(clip).square().sum().backward()
    silent = [
        name for name, p in model.named_parameters() if p.grad is None or not p.grad.any().item()
    ]
    assert silent == []
    model.eval()
    with torch.no_grad():
        repeated = torch.cat([clip, clip[:, :, -1:].expand(-1, -1, 11, -1, -1)], 2)
        torch.testing.assert_close(model(clip), model(repeated))
        logits = model(torch.rand(2, 3, 16, 16, 16))
    # Signals neither vanish nor explode through eleven layers without normalisation.
    assert 0.01 < logits.std() < 100


@pytest.mark.parametrize(("time", "size"), [(8, 48), (16, 64), (24, 112), (40, 50)])
def test_c3d_takes_any_size_and_length(time: int, size: int) -> None:
    with torch.device("meta"):
        model = create_model("c3d", 5, size=size, frames=time)
        assert model(torch.rand(2, 3, time, size, size)).shape == (2, 5)


def test_small_c3d_is_cheap_and_scales_with_width() -> None:
    clip = torch.rand(1, 3, 16, 48, 48)
    narrow, default = (
        create_model(spec, 8, size=48, frames=16) for spec in ("c3d-small:8", "c3d-small")
    )
    assert macs(default, clip) <= 30e6
    assert parameter_count(narrow) < parameter_count(default) / 3.5


def test_small_c3d_in_evaluation_sees_each_clip_alone_and_pools_mean_and_maximum() -> None:
    torch.manual_seed(0)
    model = create_model("c3d-small", 4, size=48, frames=16).eval()
    clips = torch.rand(4, 3, 16, 48, 48)
    together = model(clips)
    torch.testing.assert_close(model(clips[:1]), together[:1])
    features = model.get_submodule("features")(2 * clips - 1)
    cells = features.flatten(2)
    by_hand = model.get_submodule("classifier")(torch.cat([cells.mean(2), cells.max(2)[0]], 1))
    torch.testing.assert_close(by_hand, together)
