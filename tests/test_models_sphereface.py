"""SphereFace against its published shape, and its loss against the formula written out."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from unseen.errors import ConfigError, UnknownNameError, WeightsError
from unseen.models.sphereface import (
    RECOGNISER_FILE,
    FaceClassifier,
    Seen,
    SphereFaceNet,
    angular_softmax,
    load_classifier,
    save_classifier,
)


def _seen(faces: int = 6, identities: int = 5, seed: int = 0) -> Seen:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(faces, 3, generator=generator, dtype=torch.float64) * 2
    directions = torch.randn(identities, 3, generator=generator, dtype=torch.float64)
    cosines = torch.nn.functional.normalize(features) @ torch.nn.functional.normalize(directions).T
    return Seen(features, cosines)


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
@pytest.mark.parametrize("ease", [0.0, 5.0])
def test_the_angular_softmax_is_the_formula(margin: int, ease: float) -> None:
    seen = _seen(40)
    labels = torch.arange(40) % 5
    expected = []
    for i in range(40):
        length = math.sqrt(sum(float(v) ** 2 for v in seen.features[i]))
        logits = [length * float(c) for c in seen.cosines[i]]
        theta = math.acos(float(seen.cosines[i, labels[i]]))
        k = int(theta // (math.pi / margin))
        psi = (-1) ** k * math.cos(margin * theta) - 2 * k
        logits[labels[i]] = length * (ease * math.cos(theta) + psi) / (1 + ease)
        expected.append(-logits[labels[i]] + math.log(sum(math.exp(v) for v in logits)))
    found = angular_softmax(seen, labels, margin=margin, ease=ease)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_the_margin_falls_with_the_angle_and_has_a_gradient_at_its_ends() -> None:
    theta = torch.linspace(0, math.pi, 200, dtype=torch.float64)
    features = torch.ones(200, 1, dtype=torch.float64)
    cosines = torch.stack([torch.cos(theta), torch.zeros_like(theta)], 1).requires_grad_()
    loss = angular_softmax(Seen(features, cosines), torch.zeros(200, dtype=torch.int64))
    assert (loss.diff() > 0).all()
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert cosines.grad is not None
    assert torch.isfinite(cosines.grad).all()
    assert (cosines.grad[1:-1, 0] < 0).all()


def test_sphereface_20_is_the_published_network() -> None:
    with torch.device("meta"):
        recogniser = FaceClassifier("sphereface-20", 10575)
        assert recogniser.embed(torch.empty(2, 3, 112, 96)).shape == (2, 512)
    layers = [m for m in recogniser.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(layers) == 20
    expected, channels = 0, 3
    for width, units in ((64, 1), (128, 2), (256, 4), (512, 1)):
        # weights, bias and one slope of PReLU for each channel
        expected += 9 * channels * width + 2 * width + 2 * units * (9 * width**2 + 2 * width)
        channels = width
    expected += (512 * 7 * 6 + 1) * 512
    assert sum(p.numel() for p in recogniser.net.parameters()) == expected == 22_670_656


def test_the_small_one_separates_people_by_angle() -> None:
    torch.manual_seed(0)
    recogniser = FaceClassifier("sphereface-small:4", 3)
    faces, labels = torch.rand(12, 3, 112, 96), torch.arange(12) % 3
    adam = torch.optim.Adam(recogniser.parameters(), 3e-3)
    for _ in range(40):
        adam.zero_grad()
        loss = angular_softmax(recogniser(faces), labels, margin=2).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    assert (recogniser(faces).cosines.argmax(1) == labels).all()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("arcface", UnknownNameError, "unknown recogniser 'arcface'"),
        ("sphereface-20:3", ConfigError, "takes no option"),
        ("sphereface-small:6", ConfigError, "multiple of 4"),
    ],
)
def test_names_that_cannot_be(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        FaceClassifier(name, 3)


def test_saved_and_loaded_it_sees_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recogniser = FaceClassifier("sphereface-small:4", 3).eval()
    save_classifier(recogniser, tmp_path)
    faces = torch.rand(2, 3, 112, 96)
    assert torch.equal(load_classifier(tmp_path).embed(faces), recogniser.embed(faces))


def test_a_damaged_or_missing_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no recogniser"):
        load_classifier(tmp_path)
    save_classifier(FaceClassifier("sphereface-small:4", 3), tmp_path)
    about = tmp_path / RECOGNISER_FILE
    about.write_text(about.read_text().replace('"identities": 3', '"identities": 4'))
    with pytest.raises(WeightsError, match="is damaged"):
        load_classifier(tmp_path)


def test_features_are_those_of_the_net() -> None:
    net = SphereFaceNet((4, 4, 4, 4), (0, 0, 0, 0), 7, normalised=False)
    assert net(torch.rand(1, 3, 112, 96)).shape == (1, 7)
