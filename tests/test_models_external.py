"""Networks from torchvision and timm: published sizes, timm by name, and missing weights."""

from pathlib import Path

import pytest
import torch

from unseen.errors import ConfigError, UnknownNameError, WeightsError
from unseen.models import FrameAverage, canonical, create_model, macs, parameter_count


# As torchvision's and timm's tables of pretrained weights give them, for 1000 classes.
@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        ("inception-v1", 6_624_904),
        ("inception-v2", 23_834_568),
        ("resnet-v1-50", 25_557_032),
        ("resnet-v1-101", 44_549_160),
        ("resnet-v2-50", 25_549_352),
        ("resnet-v2-101", 44_541_480),
        ("timm:resnet18", 11_689_512),
    ],
)
def test_published_parameter_counts(spec: str, parameters: int) -> None:
    with torch.device("meta"):
        assert parameter_count(create_model(spec, 1000, size=112, frames=16)) == parameters


def test_inception_v2_resizes_only_frames_that_it_cannot_take() -> None:
    with torch.device("meta"):
        for size, resize in ((48, 128), (112, None)):
            model = create_model("inception-v2", 2, size=size, frames=1)
            assert isinstance(model, FrameAverage)
            assert model.resize == resize
            assert model(torch.rand(1, 3, 2, size, size)).shape == (1, 2)


def test_timm_models_keep_their_contract() -> None:
    with torch.device("meta"):
        vit = create_model("timm:vit_tiny_patch16_224", 2, size=48, frames=1)
        assert isinstance(vit, FrameAverage)
        assert vit.resize == 224  # it takes one size only
        assert vit(torch.rand(1, 3, 1, 48, 48)).shape == (1, 2)
        for size, resize in ((48, 299), (96, None)):  # without padding smaller frames would vanish
            inception = create_model("timm:inception_v3", 2, size=size, frames=1)
            assert isinstance(inception, FrameAverage)
            assert inception.resize == resize
            assert inception.eval()(torch.rand(1, 3, 1, size, size)).shape == (1, 2)
    resnet = create_model("timm:resnet10t", 2, size=48, frames=1)
    assert isinstance(resnet, FrameAverage)
    assert resnet.resize is None
    torch.testing.assert_close(resnet.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(resnet.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))


def test_every_network_can_be_counted_and_is_left_as_it_was() -> None:
    with torch.device("meta"):
        model = create_model("timm:pit_ti_224", 2, size=48, frames=1)
        model.train()
        assert macs(model, torch.empty(1, 3, 2, 48, 48)) > 1e8
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("option", ["", ":@pretrained", ":resnet18@best", ":resnet18@"])
def test_bad_timm_options(option: str) -> None:
    with pytest.raises(ConfigError, match="write 'timm:NAME' or 'timm:NAME@pretrained'"):
        canonical(f"timm{option}")


def test_an_unknown_timm_model_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown timm model 'resnet_18'.*did you mean"):
        canonical("timm:resnet_18")
    assert canonical("timm:resnet18.a1_in1k") == "timm:resnet18.a1_in1k"
    with pytest.raises(UnknownNameError, match=r"'resnet18.a9_in1k' \(did you mean 'resnet18.a"):
        canonical("timm:resnet18.a9_in1k")


@pytest.fixture
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network and an empty cache, whatever the machine has."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


@pytest.mark.usefixtures("_offline")
def test_weights_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"'resnet10t' cannot be had.*network.*cache") as caught:
        create_model("timm:resnet10t@pretrained", 2, size=48, frames=1)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_offline")
def test_weights_that_nobody_published() -> None:
    with pytest.raises(WeightsError, match="no pretrained weights for 'efficientnet_b0_gn'"):
        create_model("timm:efficientnet_b0_gn@pretrained", 2, size=48, frames=1)
