"""Values and gradients of the objectives against formulas worked out by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from unseen.training.objectives import OBJECTIVES

K = 5
NAMES = ("negative_entropy", "gradient_reversal", "uniform_cross_entropy")
Formula = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    share: np.ndarray = e / e.sum(1, keepdims=True)
    return share


# Each gives the value of every clip, and its derivative by every logit.


def _minus_entropy(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = _softmax(z)
    entropy = -(p * np.log(p)).sum(1)
    return -entropy, p * (np.log(p) + entropy[:, None])


def _minus_cross_entropy(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = _softmax(z)
    return np.log(p[np.arange(len(y)), y]), np.eye(K)[y] - p


def _to_uniform(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = _softmax(z)
    return -np.log(p).mean(1), p - 1 / K


def _minus_entropy_multi(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = 1 / (1 + np.exp(-z))
    value = p * np.log(p) + (1 - p) * np.log(1 - p)
    return value.mean(1), p * (1 - p) * z / z.shape[1]


def _minus_cross_entropy_multi(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = 1 / (1 + np.exp(-z))
    return (y * np.log(p) + (1 - y) * np.log(1 - p)).mean(1), (y - p) / z.shape[1]


def _to_half_multi(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = 1 / (1 + np.exp(-z))
    return -0.5 * (np.log(p) + np.log(1 - p)).mean(1), (p - 0.5) / z.shape[1]


BY_HAND: dict[tuple[str, bool], Formula] = {
    ("negative_entropy", False): _minus_entropy,
    ("gradient_reversal", False): _minus_cross_entropy,
    ("uniform_cross_entropy", False): _to_uniform,
    ("negative_entropy", True): _minus_entropy_multi,
    ("gradient_reversal", True): _minus_cross_entropy_multi,
    ("uniform_cross_entropy", True): _to_half_multi,
}


def _case(multi: bool, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(7, K, generator=generator, dtype=torch.float64)
    if multi:
        return logits, torch.randint(0, 2, (7, K), generator=generator).to(torch.float64)
    return logits, torch.randint(0, K, (7,), generator=generator)


def test_every_objective_is_tested() -> None:
    assert {name for name, _ in BY_HAND} == set(OBJECTIVES)


@pytest.mark.parametrize(("name", "multi"), BY_HAND)
def test_values_and_gradients_are_those_worked_out_by_hand(name: str, multi: bool) -> None:
    logits, labels = _case(multi)
    logits.requires_grad_()
    values = OBJECTIVES[name](logits, labels, multi)
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    value_by_hand, gradient_by_hand = BY_HAND[name, multi](logits.detach().numpy(), labels.numpy())
    np.testing.assert_allclose(values.detach().numpy(), value_by_hand, rtol=1e-12)
    np.testing.assert_allclose(gradient.numpy(), gradient_by_hand, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "multi"), BY_HAND)
def test_gradients_are_those_of_finite_differences(name: str, multi: bool) -> None:
    logits, labels = _case(multi, seed=1)
    torch.autograd.gradcheck(
        lambda z: OBJECTIVES[name](z, labels, multi), logits.requires_grad_(), eps=1e-6, atol=1e-7
    )


@pytest.mark.parametrize(("name", "multi"), BY_HAND)
def test_descending_lowers_what_leaks(name: str, multi: bool) -> None:
    """The leak by another measure than the objective: confidence, or the right class's share."""
    logits, labels = _case(multi, seed=2)
    logits.requires_grad_()
    values = OBJECTIVES[name](logits, labels, multi)
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    stepped = logits.detach() - 0.1 * gradient

    def leak(z: Tensor) -> Tensor:
        if multi:
            p = torch.sigmoid(z)
            right = torch.where(labels > 0.5, p, 1 - p)
            return right if name == "gradient_reversal" else (p - 0.5).abs()
        p = z.softmax(1)
        return p.gather(1, labels[:, None]) if name == "gradient_reversal" else p.amax(1)

    assert (leak(stepped) < leak(logits.detach())).all()


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("name", ["negative_entropy", "uniform_cross_entropy"])
def test_least_is_reached_where_the_model_knows_nothing(name: str, multi: bool) -> None:
    unsure = math.log(2) if multi else math.log(K)
    bound = -unsure if name == "negative_entropy" else unsure
    nothing = torch.zeros(3, K)
    labels = torch.zeros(3, K) if multi else torch.zeros(3, dtype=torch.int64)
    torch.testing.assert_close(
        OBJECTIVES[name](nothing, labels, multi), torch.full((3,), bound), rtol=1e-6, atol=0
    )
    logits, labels = _case(multi, seed=3)
    assert (OBJECTIVES[name](logits, labels, multi) > bound).all()


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_certain_model_gives_no_nan(name: str, multi: bool) -> None:
    logits = torch.tensor([[200.0, -200.0, -200.0, -200.0, -200.0]]).requires_grad_()
    labels = torch.tensor([[0.0, 1.0, 1.0, 0.0, 1.0]]) if multi else torch.tensor([1])
    value = OBJECTIVES[name](logits, labels, multi)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert value.isfinite().all()
    assert gradient.isfinite().all()
