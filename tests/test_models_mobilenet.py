"""MobileNet-v1 against its published figures."""

import pytest
import torch
from torch import nn

from unseen.models import create_model, macs, parameter_count
from unseen.models.mobilenet import MobileNetV1


# Parameters as published with TensorFlow's weights (moving averages left out), multiply-
# accumulates from Howard et al. 2017, tables 6 and 7, in millions at 224x224.
@pytest.mark.parametrize(
    ("width", "parameters", "millions"),
    [(1.0, 4_231_976, 569), (0.75, 2_585_560, 325), (0.5, 1_331_592, 149), (0.25, 470_072, 41)],
)
@pytest.mark.parametrize("name", ["mobilenet", "mobilenet-gn"])
def test_published_figures(name: str, width: float, parameters: int, millions: int) -> None:
    with torch.device("meta"):
        model = create_model(f"{name}:{width}", 1000, size=224, frames=1)
        assert parameter_count(model) == parameters
        assert macs(model, torch.rand(1, 3, 1, 224, 224)) == pytest.approx(millions * 1e6, abs=6e5)


def test_layers() -> None:
    model = MobileNetV1(10, 0.5)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 27
    assert [c.out_channels for c in convolutions if c.kernel_size == (1, 1)] == [
        *(32, 64, 64, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512)
    ]
    assert sum(c.stride == (2, 2) for c in convolutions) == 5
    assert all(c.groups == c.in_channels for c in convolutions[1::2])


def test_a_layer_keeps_at_least_eight_channels() -> None:
    model = MobileNetV1(2, 0.05)
    widths = {m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)}
    assert min(widths) == 8


def test_neighbouring_widths_are_different_networks() -> None:
    with torch.device("meta"):
        counts = [parameter_count(MobileNetV1(2, width / 100)) for width in range(1, 101)]
    assert sorted(set(counts)) == counts


def test_group_norm_leaves_no_running_statistics() -> None:
    names = {
        name for name, _ in create_model("mobilenet-gn:0.25", 3, size=48, frames=4).named_buffers()
    }
    assert not [name for name in names if "running" in name]
    kinds = {type(m) for m in create_model("mobilenet:0.25", 3, size=48, frames=4).modules()}
    assert nn.BatchNorm2d in kinds
    assert nn.GroupNorm not in kinds
