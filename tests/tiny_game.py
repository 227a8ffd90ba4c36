"""Games small enough for tests.

`tiny_config` and `tiny_data`: `duet` at 16 pixels, a filter of width 8, models of few channels. No
player has dropout or BatchNorm, so that a move is a plain function of weights and batch.
`Quadratic`: a game of a few numbers, for schedules.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from unseen.config import RunConfig, load_config
from unseen.data.clips import ClipDataset
from unseen.data.duet import load_duet
from unseen.models.base import MODELS, FrameAverage, ModelEntry, Request
from unseen.registry import Spec
from unseen.training.moves import Batch, FilterMove, PrivacyMove, Validation
from unseen.types import Clips


def _one_layer(request: Request) -> FrameAverage:
    """Smooth and shallow: what rounding does to it stays small."""
    width = request.spec.integer()
    convolution, last = nn.Conv2d(3, width, 3, 2), nn.Linear(width * 9, request.classes)
    return FrameAverage(
        nn.Sequential(convolution, nn.Tanh(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), last)
    )


MODELS.add(
    "one-layer",
    ModelEntry("one-layer", _one_layer, lambda spec: Spec(spec.name, str(spec.integer(8)))),
)

_SMALL = (
    "data.size=16", "data.frames=4", "data.train=64", "data.val=26", "data.test=8",
    "filter.width=8", "filter.blocks=1", "filter.channels=1",
    "target_model=mobilenet-gn:0.02", "budget_models=mobilenet-gn:0.01,mobilenet-gn:0.03",
    "train.device=cpu", "train.threads=1", "train.batch=8", "train.budget_frames=2",
    "train.init_target=3", "train.init_budget=2", "train.steps=3", "train.finish=1",
    "train.log_every=1",
)  # fmt: skip


def tiny_config(*overrides: str) -> RunConfig:
    """The small configuration, changed by `key=value` overrides."""
    return load_config(overrides=[*_SMALL, *overrides])


def tiny_data(config: RunConfig) -> ClipDataset:
    """The clips of a configuration."""
    data = config.data
    return load_duet(
        target=data.target,
        private=data.private,
        size=data.size,
        frames=data.frames,
        seed=data.seed,
        counts={"train": data.train, "val": data.val, "test": data.test},
    )


# L_T = |t - d|^2/2 + |d - WISH|^2/2, L_B,i = |b_i - SIGHT_i * d|^2/2 + UNSEEN_i |d|^2/2, of which
# b_i cannot lower the second part; scores are exp(-loss), J_B = -L_B.
WISH = np.array([1.0, -0.5])
SIGHT = np.array([[1.0, 0.3], [-0.4, 1.2], [0.8, 0.8]])
UNSEEN = np.array([0.01, 0.03, 0.02])
START_B = np.array([[0.9, 0.1], [0.2, -1.0], [0.0, 0.3]])
BLIND = (0.8, 1.6)
ALPHA_D, ALPHA_T, ALPHA_B, GAMMA = 0.05, 0.2, 0.3, 2.0


class Quadratic:
    """Players that are points in the plane; gradients are autograd's, every move is recorded."""

    def __init__(self, strong: bool = True) -> None:
        self.d, self.t = torch.tensor([0.3, 0.7], dtype=torch.float64), torch.zeros(2).double()
        self.b = [torch.tensor(row) for row in START_B]
        self.players = [self.d, self.t, *self.b]
        for player in self.players:
            player.requires_grad_()
        self.strong = strong  # otherwise no score is above 0 and no loss finite
        self.moves: list[str] = []

    ensemble = len(START_B)
    blind_losses = BLIND

    def _target_loss(self) -> Tensor:
        wish = torch.tensor(WISH)
        return ((self.t - self.d).square().sum() + (self.d - wish).square().sum()) / 2

    def _budget_loss(self, i: int, d: Tensor | None = None) -> Tensor:
        d = self.d if d is None else d
        seen = (self.b[i] - torch.tensor(SIGHT[i]) * d).square().sum() / 2
        return seen + float(UNSEEN[i]) * d.square().sum() / 2

    def _hardest(self) -> int:
        return int(np.argmin([float(self._budget_loss(i).detach()) for i in range(self.ensemble)]))

    def _descend(self, loss: Tensor, rates: dict[Any, float]) -> None:
        gradients = torch.autograd.grad(loss, list(rates))
        with torch.no_grad():
            for (player, rate), gradient in zip(rates.items(), gradients, strict=True):
                player -= rate * gradient

    def filter_step(self, gamma: float, *, with_target: bool) -> FilterMove:
        self.moves.append("D")
        j, loss = self._hardest(), self._target_loss()
        leak = -self._budget_loss(j)
        rates = {self.d: ALPHA_D} | ({self.t: ALPHA_T} if with_target else {})
        seen = torch.cat([self.d.detach(), torch.zeros(1)]).view(1, 3, 1, 1, 1)
        self._descend(loss + gamma * leak, rates)
        batch = Batch(torch.zeros(1, 3, 1, 1, 1), torch.zeros(1), torch.zeros(1))
        return FilterMove(leak.item(), j, loss.item(), seen, batch)

    def privacy_step(self, index: int | None = None) -> PrivacyMove:
        j = self._hardest() if index is None else index
        self.moves.append(f"D{j}")
        leak = -self._budget_loss(j)
        self._descend(leak, {self.d: ALPHA_D})
        return PrivacyMove(leak.item(), j)

    def target_step(self, *, with_filter: bool) -> float:
        self.moves.append("TD" if with_filter else "T")
        loss = self._target_loss()
        self._descend(loss, {self.t: ALPHA_T} | ({self.d: ALPHA_T} if with_filter else {}))
        return loss.item()

    def budget_step(
        self, indices: Sequence[int], seen: Clips | None = None, batch: Batch | None = None
    ) -> list[float]:
        self.moves += [f"B{i}" for i in indices]
        d = self.d if seen is None else seen.flatten()[:2]
        losses = [self._budget_loss(i, d) for i in indices]
        for i, loss in zip(indices, losses, strict=True):
            self._descend(loss, {self.b[i]: ALPHA_B})
        return [math.exp(-loss.item()) if self.strong else 0.0 for loss in losses]

    def validate(self, most: int = 0, *, budget: bool = True) -> Validation:
        losses = [self._target_loss(), *map(self._budget_loss, range(self.ensemble))]
        values = [loss.item() if self.strong else math.inf for loss in losses]
        scores = [math.exp(-value) for value in values]
        return Validation(scores[0], values[0], scores[1:], values[1:])

    def restart(self, indices: Sequence[int]) -> None:
        self.moves += [f"new{i}" for i in indices]
        with torch.no_grad():
            for i in indices:
                self.b[i].copy_(torch.tensor(START_B[i]))

    def numbers(self) -> npt.NDArray[np.float64]:
        return np.array([player.detach().numpy() for player in self.players])
