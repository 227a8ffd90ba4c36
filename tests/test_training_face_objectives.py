"""What M minimises, and the sign of every gradient, on a recogniser of three numbers."""

import math

import numpy as np
import pytest
import torch

from unseen.models.sphereface import Seen, angular_softmax
from unseen.training.face_objectives import FACE_OBJECTIVES, Exposed, other_identities

DIRECTIONS = torch.eye(3)


def _exposed(features: torch.Tensor, label: int, other: int, margin: int = 1) -> Exposed:
    cosines = torch.nn.functional.normalize(features) @ DIRECTIONS.T
    real = 2.0 * DIRECTIONS[label][None]
    labels, others = torch.tensor([label]), torch.tensor([other])
    return Exposed(Seen(features, cosines), lambda: real, labels, others, margin)


def _moved(name: str, features: torch.Tensor, margin: int = 1) -> torch.Tensor:
    """The features after a small step down the objective, for label 0 and other label 2."""
    leaf = features.clone().requires_grad_()
    value = FACE_OBJECTIVES[name](_exposed(leaf, 0, 2, margin)).sum()
    value.backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return (leaf - 0.05 * leaf.grad).detach()


def _cosines(features: torch.Tensor) -> list[float]:
    return torch.nn.functional.normalize(features)[0].tolist()


FEATURES = torch.tensor([[1.0, 0.6, 0.5]])


def test_misclassify_is_minus_the_loss_of_d() -> None:
    exposed = _exposed(FEATURES, 0, 2, 4)
    loss = angular_softmax(exposed.modified, torch.tensor([0]), margin=4)
    torch.testing.assert_close(FACE_OBJECTIVES["misclassify"](exposed), -loss)


@pytest.mark.parametrize("margin", [1, 4])
def test_misclassify_turns_the_face_away_from_its_identity(margin: int) -> None:
    # By hand, for margin 1: dL/dz = softmax - onehot, so that M lowers z_0 and raises the others.
    moved = _moved("misclassify", FEATURES, margin)
    assert _cosines(moved)[0] < _cosines(FEATURES)[0]


def test_random_label_turns_the_face_to_the_other_identity() -> None:
    exposed = _exposed(FEATURES, 0, 2)
    loss = angular_softmax(exposed.modified, torch.tensor([2]), margin=1)
    torch.testing.assert_close(FACE_OBJECTIVES["random_label"](exposed), loss)
    assert _cosines(_moved("random_label", FEATURES))[2] > _cosines(FEATURES)[2]


def test_angular_entropy_does_not_care_how_long_features_are() -> None:
    cosines = np.array(_cosines(FEATURES))
    p = np.exp(16 * cosines) / np.exp(16 * cosines).sum()
    value = FACE_OBJECTIVES["angular_entropy"](_exposed(FEATURES, 0, 2))
    assert value.item() == pytest.approx((p * np.log(p)).sum(), abs=1e-5)
    shorter = FACE_OBJECTIVES["angular_entropy"](_exposed(0.01 * FEATURES, 0, 2))
    torch.testing.assert_close(shorter, value)
    gap = max(_cosines(FEATURES)) - min(_cosines(FEATURES))
    moved = _cosines(_moved("angular_entropy", FEATURES))
    assert max(moved) - min(moved) < gap


def test_negative_entropy_makes_all_identities_alike() -> None:
    logits = FEATURES[0].numpy()  # directions are the axes: ||x|| cos(theta_j) = x_j
    p = np.exp(logits) / np.exp(logits).sum()
    found = FACE_OBJECTIVES["negative_entropy"](_exposed(FEATURES, 0, 2))
    assert float(found) == pytest.approx(float((p * np.log(p)).sum()), rel=1e-5)
    spread = np.ptp(_cosines(_moved("negative_entropy", FEATURES)))
    assert spread < np.ptp(_cosines(FEATURES))


def test_distance_is_the_cosine_to_the_real_face_above_zero() -> None:
    found = FACE_OBJECTIVES["distance"](_exposed(FEATURES, 0, 2))
    assert float(found) == pytest.approx(1 / math.sqrt(1 + 0.36 + 0.25))
    assert _cosines(_moved("distance", FEATURES))[0] < _cosines(FEATURES)[0]
    behind = torch.tensor([[-1.0, 0.6, 0.5]])
    assert float(FACE_OBJECTIVES["distance"](_exposed(behind, 0, 2))) == 0
    assert torch.equal(_moved("distance", behind), behind)


def test_other_identities_are_all_the_others_equally_often() -> None:
    torch.manual_seed(0)
    labels = torch.arange(4).repeat(3000)
    others = other_identities(labels, 4)
    counts = np.zeros((4, 4))
    np.add.at(counts, (labels.numpy(), others.numpy()), 1)
    assert (np.diag(counts) == 0).all()
    assert (np.abs(counts[~np.eye(4, dtype=bool)] - 1000) < 120).all()
