"""How far a run is: everything about progress that is not a tensor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

STAGES = ("reconstruct", "target-alone", "target", "budget", "game", "finish")
# Weight of the past in running means of losses and scores.
_KEEP = 0.9


@dataclass
class State:
    """Counters, running means and the account of a run; JSON, part of each checkpoint.

    `leak`, `lowest_leak` and `stale_steps` are since the last restart, see
    `unseen.training.restarting`.
    """

    stage: int = 0
    step: int = 0
    moves: int = 0
    gamma: float = 0.0
    target_loss: float = math.nan
    privacy_loss: float = 0.0
    budget_scores: list[float] = field(default_factory=list)
    next_restart: int = 0
    leak: float = math.nan
    lowest_leak: float = math.inf
    stale_steps: int = 0
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    restarts: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep what a reader of the result should know."""
        self.notes.append(f"{STAGES[self.stage]} step {self.step}: {text}")

    def add_budget_scores(self, indices: Sequence[int], scores: Sequence[float]) -> None:
        """Take the newest training scores of budget models into their running means."""
        for i, score in zip(indices, scores, strict=True):
            self.budget_scores[i] = running_mean(self.budget_scores[i], score)


def running_mean(old: float, new: float) -> float:
    """The mean with one value more; `new` itself where nothing was known (NaN)."""
    return new if math.isnan(old) else _KEEP * old + (1 - _KEEP) * new


def known(value: float) -> float | None:
    """None for what nothing was measured of yet; JSON has no NaN."""
    return None if math.isnan(value) else value
