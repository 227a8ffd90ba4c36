"""Gradients are shortened, and what is none ends a training."""

import math

import pytest
import torch
from torch import nn

from unseen.errors import RunError
from unseen.training.gradients import clip_gradients


def _with_gradient(*values: float) -> nn.Linear:
    module = nn.Linear(len(values), 1, bias=False)
    module.weight.grad = torch.tensor([values])
    return module


def _gradient(module: nn.Linear) -> list[float]:
    assert module.weight.grad is not None
    return [float(value) for value in module.weight.grad[0]]


def test_each_module_has_its_own_norm() -> None:
    long, short, none = _with_gradient(6.0, 8.0), _with_gradient(0.0, 2.0), nn.Linear(2, 1)
    clip_gradients([long, short, none])
    assert _gradient(long) == pytest.approx([3.0, 4.0], rel=1e-5)
    assert _gradient(short) == [0.0, 2.0]
    assert none.weight.grad is None


def test_a_norm_that_overflows_stops_the_step_and_not_the_training() -> None:
    module = _with_gradient(1e30, -1e30)
    clip_gradients([module])
    assert _gradient(module) == [0.0, 0.0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_ends_the_training(value: float) -> None:
    with pytest.raises(RunError, match="training diverged: a gradient of Linear is not finite"):
        clip_gradients([_with_gradient(1.0), _with_gradient(1.0, value)])
