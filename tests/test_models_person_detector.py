"""Torchvision's detectors, with weights of a file."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from unseen.errors import ConfigError, UnknownNameError, WeightsError
from unseen.models.person_detector import PersonDetector

NAME = "ssdlite320_mobilenet_v3_large"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones, but for a bias that makes some of it people."""
    torch.manual_seed(0)
    net = torchvision.models.get_model(NAME, weights=None, weights_backbone=None)
    head = net.head.classification_head.module_list[1][1]
    with torch.no_grad():
        head.bias.view(-1, 91)[:, 1] += 6
        head.bias.view(-1, 91)[:, 17] += 4
    path = tmp_path_factory.mktemp("weights") / "people.safetensors"
    save_file(net.state_dict(), path)
    return path


def test_its_people_are_those_of_the_network(weights: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    found = PersonDetector(f"torchvision:{NAME}@{weights}")(image)
    assert found.dtype == np.float32

    from safetensors.torch import load_file

    net = torchvision.models.get_model(NAME, weights=None, weights_backbone=None).eval()
    net.load_state_dict(load_file(weights))
    with torch.no_grad():
        (plain,) = net([torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 255)])
    rows = zip(plain["boxes"], plain["labels"], plain["scores"], strict=True)
    expected = [b.tolist() for b, label, score in rows if label == 1 and score >= 0.5]
    others = {int(label) for label in plain["labels"]}
    assert 17 in others
    assert 0 < len(expected) < len(plain["boxes"])
    assert found == pytest.approx(np.array(expected, np.float32), abs=1e-3)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("yolo", ConfigError, "write torchvision:NAME@FILE.safetensors"),
        (f"torchvision:{NAME}", ConfigError, "write torchvision:NAME@FILE.safetensors"),
        ("torchvision:fasterrcn@x.safetensors", UnknownNameError, "unknown detector"),
        (f"torchvision:{NAME}@people.pth", ConfigError, "is a pickle"),
        (f"torchvision:{NAME}@none.safetensors", WeightsError, "no such file"),
    ],
)
def test_a_detector_that_cannot_be_had(spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PersonDetector(spec)


def test_weights_of_another_detector(weights: Path) -> None:
    with pytest.raises(WeightsError, match="are of another network"):
        PersonDetector(f"torchvision:ssd300_vgg16@{weights}")
