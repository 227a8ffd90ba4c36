"""What every step of a game does with its gradients."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from unseen.errors import RunError

_LARGEST_NORM = 5.0
SMALLER = "begin a new run with smaller step sizes (train.lr_...)"


@contextmanager
def frozen(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Gradients pass through these modules, and none is computed for their weights."""
    for module in modules:
        module.requires_grad_(False)
    try:
        yield
    finally:
        for module in modules:
            module.requires_grad_(True)


def clip_gradients(modules: Iterable[nn.Module], mend: str = SMALLER) -> None:
    """Shorten the gradient of each module to a norm of 5.

    Where several processes share a step, their mean must be in place: all then stop together.

    Raises:
        RunError: a gradient is not finite. No optimiser may have moved anything by it.
    """
    for module in modules:
        norm = nn.utils.clip_grad_norm_(module.parameters(), _LARGEST_NORM)
        # Squares of finite gradients can overflow: the norm is then infinite, and they become 0.
        finite = torch.isfinite(norm) or all(
            torch.isfinite(parameter.grad).all()
            for parameter in module.parameters()
            if parameter.grad is not None
        )
        if not finite:
            raise RunError(
                f"training diverged: a gradient of {type(module).__name__} is not finite; {mend}"
            )
