"""What the players of the game can do, and what a move reports: all that a schedule sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from unseen.types import Clips


@dataclass(frozen=True)
class Batch:
    """Clips and labels, on the device; this process's share. Of two data sets each has its own
    batches, in which the labels that it lacks have no columns."""

    clips: Clips
    target: Tensor
    private: Tensor


@dataclass(frozen=True)
class PrivacyMove:
    """What a step of f_D measured of privacy, before its update.

    Attributes:
        privacy_loss: J_B of the budget model that drove it; 0 without budget models.
        hardest: its index, -1 without.
    """

    privacy_loss: float
    hardest: int


@dataclass(frozen=True)
class FilterMove(PrivacyMove):
    """What a step of f_D on L_T and J_B measured, before its update.

    Attributes:
        target_loss: L_T.
        seen: the batch behind f_D as budget models see it, detached; None where no clips with
            private labels passed.
        batch: that batch.
    """

    target_loss: float
    seen: Clips | None
    batch: Batch | None


@dataclass(frozen=True)
class Validation:
    """What was measured on validation clips.

    Attributes:
        target_score: of f_T, see `unseen.training.metrics.score`.
        target_loss: L_T.
        budget_scores: of each budget model.
        budget_losses: L_B of each.
    """

    target_score: float
    target_loss: float
    budget_scores: list[float]
    budget_losses: list[float]


@runtime_checkable
class Players(Protocol):
    """f_D, f_T and the ensemble of f_B; `unseen.training.game.Game` is one."""

    @property
    def ensemble(self) -> int:
        """M (or K), the number of budget models."""

    @property
    def blind_losses(self) -> tuple[float, float]:
        """L_T and L_B of guesses that know the training labels' frequencies and see no clip."""

    def filter_step(self, gamma: float, *, with_target: bool) -> FilterMove:
        """Minimise L_T + gamma * J_B of the hardest budget model over f_D."""

    def privacy_step(self, index: int | None = None) -> PrivacyMove:
        """Minimise J_B of one budget model, or of the hardest, over f_D."""

    def target_step(self, *, with_filter: bool) -> float:
        """Minimise L_T over f_T, and f_D if asked; L_T before the update."""

    def budget_step(
        self, indices: Sequence[int], seen: Clips | None = None, batch: Batch | None = None
    ) -> list[float]:
        """Minimise L_B over each of the named budget models; their scores before the update."""

    def validate(self, most: int = 0, *, budget: bool = True) -> Validation:
        """Scores and losses on validation clips, all or `most`."""

    def restart(self, indices: Sequence[int]) -> None:
        """Give budget models new random weights."""
