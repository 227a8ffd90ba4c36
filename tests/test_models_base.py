"""The interface of classifiers, its helpers, and every registered model on the meta device."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unseen.errors import ConfigError, UnknownNameError
from unseen.models import (
    MODELS,
    SUITES,
    FrameAverage,
    canonical,
    create_model,
    macs,
    parameter_count,
)
from unseen.models.base import group_norm
from unseen.registry import Spec

# Every registered model once; networks of other packages need a name.
NAMED = {"timm": "timm:resnet18", "torchvision": "torchvision:resnet18"}
EVERY_MODEL = [NAMED.get(name, name) for name in MODELS]


@pytest.mark.parametrize("spec", sorted({*EVERY_MODEL, *SUITES["small"], *SUITES["paper"]}))
def test_every_model_maps_clips_to_logits(spec: str) -> None:
    size = 112 if spec in SUITES["paper"] else 64
    with torch.device("meta"):
        model = create_model(spec, 13, size=size, frames=16)
        logits = model(torch.rand(2, 3, 16, size, size))
        logits.sum().backward()
    assert logits.shape == (2, 13)
    assert model.spec == canonical(spec)
    assert model.family
    assert model.sees in ("frames", "clip", "differences")
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []


def test_suites_have_twenty_different_attackers_and_more_of_registered_kinds() -> None:
    assert {name: len(suite) for name, suite in SUITES.items()} == {"small": 20, "paper": 24}
    for suite in SUITES.values():
        assert [canonical(spec) for spec in suite] == list(suite)
        assert len(set(suite)) == len(suite)
    families = [MODELS[Spec.parse(spec).name].family for spec in SUITES["small"]]
    assert len(set(families[:10])) >= 9
    assert len(set(families)) >= 18
    assert len(set(families[:3])) == 3


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mobilenet", "mobilenet:1"),
        ("mobilenet:0.50", "mobilenet:0.5"),
        (" mobilenet:.5 ", "mobilenet:0.5"),
        ("mobilenet:5e-1", "mobilenet:0.5"),
        ("mobilenet-gn:0.580", "mobilenet-gn:0.58"),
        ("c3d-small", "c3d-small:16"),
        ("c3d-small:8.0", "c3d-small:8"),
        ("c3d", "c3d"),
        ("timm:resnet18", "timm:resnet18"),
    ],
)
def test_canonical(spec: str, expected: str) -> None:
    assert canonical(spec) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mobilenet:0.555", "two decimals"),
        ("mobilenet:0", "at least 0.01"),
        ("mobilenet:wide", "'wide' is not a number"),
        ("c3d:16", "'c3d' takes no option"),
        ("c3d-small:2.5", "at least 4"),
        ("c3d-small:8.5", "whole number"),
        ("cnn:3", "'cnn' takes no option"),
        ("timm", "write 'timm:NAME'"),
    ],
)
def test_bad_options_are_refused(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        canonical(spec)


def test_an_unknown_model_lists_the_choices() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model 'mobilnet' .*'mobilenet'.*c3d"):
        create_model("mobilnet:0.5", 2, size=48, frames=16)


@pytest.mark.parametrize(("classes", "size", "frames"), [(0, 48, 16), (2, 15, 16), (2, 48, 0)])
def test_impossible_requests_are_refused(classes: int, size: int, frames: int) -> None:
    with pytest.raises(ConfigError, match="needs at least one class"):
        create_model("cnn", classes, size=size, frames=frames)


def test_frame_average_is_the_mean_over_a_loop_of_frames() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 7))
    clips = torch.rand(2, 3, 6, 4, 5)
    logits = FrameAverage(net)(clips)
    for clip in range(2):
        rows = [net(2.0 * clips[clip : clip + 1, :, time] - 1.0)[0] for time in range(6)]
        torch.testing.assert_close(logits[clip], torch.stack(rows).mean(0))


def test_frame_average_normalises_and_resizes() -> None:
    net = nn.Flatten()
    clips = torch.rand(1, 3, 1, 4, 4)
    logits = FrameAverage(net, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0), resize=8)(clips)
    assert logits.shape == (1, 3 * 8 * 8)
    expected = (clips[:, :, 0] - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor(
        [1.0, 2.0, 4.0]
    ).view(3, 1, 1)
    # Reduced again by a factor of two, bilinear enlargement keeps the mean of the frame's centre.
    torch.testing.assert_close(
        logits.view(1, 3, 8, 8).mean((2, 3)),
        F.interpolate(expected, (8, 8), mode="bilinear").mean((2, 3)),
    )


def test_frame_average_keeps_its_normalisation_out_of_the_weights() -> None:
    model = FrameAverage(nn.Linear(3, 2))
    assert set(model.state_dict()) == {"net.weight", "net.bias"}


def test_macs_of_known_layers() -> None:
    frames = torch.rand(2, 3, 8, 8)
    convolution = nn.Conv2d(3, 10, 3, stride=2, padding=1)
    assert macs(convolution, frames) == 2 * 10 * 3 * 9 * 16
    assert macs(nn.Conv2d(3, 6, 3, padding=1, groups=3), frames) == 2 * 6 * 9 * 64
    assert macs(nn.Linear(8, 5), frames) == 2 * 3 * 8 * 8 * 5
    steps = torch.rand(2, 7, 4)
    assert macs(nn.GRU(4, 6, batch_first=True), steps) == 2 * 7 * 3 * (4 * 6 + 6 * 6)


def test_macs_counts_attention() -> None:
    class Attention(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.scaled_dot_product_attention(x, x, x)

    assert macs(Attention(), torch.rand(1, 2, 9, 16)) == 2 * 2 * 9 * 9 * 16


def test_macs_restores_the_mode() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
    macs(model, torch.rand(2, 3, 4, 4))
    assert model.training
    assert model[0].num_batches_tracked == 0  # it ran in evaluation mode
    with pytest.raises(RuntimeError):
        macs(model, torch.rand(2, 4, 4, 4))
    assert model.training


def test_parameter_count_leaves_statistics_out() -> None:
    assert parameter_count(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))) == 4 * 3 + 3 + 2 * 3


@pytest.mark.parametrize(
    ("channels", "groups"), [(3, 1), (7, 1), (8, 2), (12, 3), (16, 4), (18, 3), (37, 1), (64, 8)]
)
def test_group_norm_has_groups_of_at_least_four(channels: int, groups: int) -> None:
    norm = group_norm(channels)
    assert norm.num_groups == groups
    assert norm(torch.rand(1, channels, 1, 1)).abs().max() > 0.1
