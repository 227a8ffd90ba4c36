"""Schedules: who moves in one outer step of the game, and for how long.

| name | source |
| --- | --- |
| `alternating` | one step of f_D, then a fixed number of each f_B |
| `monitored` | Wang19 algorithms 1, 2 and 4 |
| `k_beam` | Wang19 algorithm 3 |
| `three_party` | Wu18 3.2 |

Each combines with every objective and ensemble, and with restarting. Every loop has a cap, and
reaching it is noted. Between two outer steps a schedule remembers nothing but the `State`, which
is in every checkpoint.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from unseen.config import GameConfig
from unseen.registry import Registry
from unseen.training.moves import FilterMove, Players, PrivacyMove
from unseen.training.state import State, running_mean

# Iterations without a better validation score that end the f_T loop (the authors' code).
PLATEAU = 10
# Batches before the running mean of a training score is trusted.
_TRUSTED = 5


@dataclass(frozen=True)
class BudgetLoop:
    """How a loop over budget models ended.

    Attributes:
        weakest: the lowest running mean of their training scores.
        steps: taken.
    """

    weakest: float
    steps: int


class Schedule(ABC):
    """One outer step of the game after another.

    Args:
        game: the settings of the game.
        players: who moves.
        state: of the run; running means and notes go there.
        clips: validation clips on which f_T, and f_B in `three_party`, are monitored.
    """

    def __init__(self, game: GameConfig, players: Players, state: State, clips: int) -> None:
        self.game, self.players, self.state, self.clips = game, players, state, clips

    @abstractmethod
    def step(self) -> PrivacyMove:
        """One outer step; what the last step of f_D in it measured of privacy."""

    def train_budget(self, indices: Sequence[int], cap: int) -> BudgetLoop:
        """Train budget models on the frozen f_D until th2 or `cap`.

        The score is a running mean over the loop's own batches. It is trusted after five of them,
        so that a loop has at least five steps, where `cap` allows them.
        """
        recent = [math.nan] * len(indices)
        for step in range(1, cap + 1):
            scores = self.players.budget_step(indices)
            recent = [running_mean(old, new) for old, new in zip(recent, scores, strict=True)]
            for index, value in zip(indices, recent, strict=True):
                self.state.budget_scores[index] = value
            if step >= _TRUSTED and min(recent) >= self.game.th2:
                return BudgetLoop(min(recent), step)
        self.state.note(f"a budget loop reached its cap of {cap} steps below th2")
        return BudgetLoop(min(recent), cap)

    def train_target(self) -> None:
        """Train f_T (eq. 4b), or f_T and f_D (eq. 6b), until th1, a plateau or the cap."""
        best, since = -1.0, 0
        for _ in range(self.game.cap_target):
            score = self.players.validate(self.clips, budget=False).target_score
            if score >= self.game.th1:
                return
            best, since = (score, 0) if score > best else (best, since + 1)
            if since >= PLATEAU:
                self.state.note(f"f_T stayed below th1: plateau of {PLATEAU}")
                return
            self._target_step()
        self.state.note(f"f_T loop reached its cap of {self.game.cap_target} below th1")

    def _target_step(self) -> None:
        loss = self.players.target_step(with_filter=self.game.end_to_end)
        self.state.target_loss = running_mean(self.state.target_loss, loss)

    def _filter_step(self) -> FilterMove:
        move = self.players.filter_step(self.state.gamma, with_target=self.game.joint)
        self.state.target_loss = running_mean(self.state.target_loss, move.target_loss)
        return move


SCHEDULES: Registry[type[Schedule]] = Registry("schedule")


@SCHEDULES.register("alternating")
class Alternating(Schedule):
    """One step of f_D, then `budget_steps` of each f_B, the first on the batch that f_D made.

    Not in the papers: the plain alternation of adversarial training.
    """

    def step(self) -> PrivacyMove:
        """See `Schedule.step`."""
        move = self._filter_step()
        everyone = range(self.players.ensemble)
        scores = self.players.budget_step(everyone, move.seen, move.batch)
        self.state.add_budget_scores(everyone, scores)
        for _ in range(self.game.budget_steps - 1):
            self.state.add_budget_scores(everyone, self.players.budget_step(everyone))
        return move


@SCHEDULES.register("monitored")
class Monitored(Schedule):
    """Wang19 algorithms 1 (`grl`, Ours-KL), 2 and 4 (`entropy`, Ours-Entropy).

    One step of f_D (line 3; line 6 of algorithm 4), then f_T until th1 (lines 4-6; 7-9), then each
    f_B until th2 (lines 7-9; 10-14). The algorithms move f_D alone in line 3 (`joint` off);
    algorithm 1 moves f_T alone in line 5 (`end_to_end` off), 2 and 4 move f_D with it.

    Differs from the paper: the loops are capped, as otherwise they need not end, and the f_T loop
    ends at a plateau too (the authors' code has both); they end at a score of th1 or th2, not
    above it; th1 is compared on as many validation clips as four batches have; th2 with a running
    mean over training batches, so that each f_B takes five steps at least. Lines 3-5 of algorithm
    4 are `unseen.training.restarting`.
    """

    def step(self) -> PrivacyMove:
        """See `Schedule.step`."""
        move = self._filter_step()
        self.train_target()
        for i in range(self.players.ensemble):
            self.train_budget([i], self.game.cap_budget)
        return move


@SCHEDULES.register("k_beam")
class KBeam(Schedule):
    """Wang19 3.3.3, eq. 8, algorithm 3 (`k-beam`); the ensemble is the K sets of weights.

    L_B max step: the budget model with the smallest L_B (line 4), then d_iter steps of f_D that
    ascend its L_B, and nothing but it (lines 5-7). L_B min step: each of the K until th2 (lines
    8-13). L_T step: f_T and f_D until th1 (lines 14-17). Ascending L_B is the objective
    `gradient_reversal`; with another one f_D descends that of the model where it is largest.

    Differs from the paper: line 4 takes the smallest L_B on one batch, that of the first ascent
    step; line 11's index i is read as k, and 4's M as K. Loops end as in `Monitored`.
    """

    def step(self) -> PrivacyMove:
        """See `Schedule.step`."""
        move = self.players.privacy_step()
        for _ in range(self.game.d_iter - 1):
            move = self.players.privacy_step(move.hardest)
        for k in range(self.players.ensemble):
            self.train_budget([k], self.game.cap_budget)
        self.train_target()
        return move


@SCHEDULES.register("three_party")
class ThreeParty(Schedule):
    """Wu18 3.2: L_T and L_B are monitored to decide which of the three modules is updated next.

    Before every move L_T or all L_B are measured on validation clips. While L_T is above
    `bound_target`, f_T is next; then, while L_B of budget models is above `bound_budget`, these
    are; then f_D is, which ends the outer step. No module thus changes "too quickly": f_D waits
    until both others have caught up with it, and they do not go on once they have.

    What the paper leaves open, and what was chosen: it refers to a supplement for the rule, gives
    neither bounds nor an order, and does not say on which clips. Bounds are shares of the loss that
    a guess without the clip has, so that they ask the same of 8 actions as of 17 rare attributes;
    of SBU's 8 actions the default of a quarter is 0.5 nats, about what an accuracy of 85% (Wang19's
    th1) has. f_T goes first, as f_B of a filter that is no use is of no use. Budget models that the
    filter defeats never come below their bound: between two steps of f_D, f_T moves `cap_target`
    times at most and f_B `cap_budget` times. One module at a time moves with `joint` and
    `end_to_end` off.

    Differs from the paper: L_B is the cross-entropy of Wang19 eq. 6c, which f_B minimises here
    throughout. In Wu18 it is the negative entropy, which f_B minimises in the game too, and labels
    are for its initialisation and for what follows a restart (3.2, 3.3).
    """

    def step(self) -> PrivacyMove:
        """See `Schedule.step`."""
        # Moves of f_B change neither f_D nor f_T: once L_T is below its bound, or f_T at its cap,
        # it stays so until f_D moves.
        for moved in range(self.game.cap_target + 1):
            if not self._target_is_weak():
                break
            if moved < self.game.cap_target:
                self._target_step()
        else:
            cap = self.game.cap_target
            self.state.note(f"f_T reached its cap of {cap} moves above bound_target")
        for moved in range(self.game.cap_budget + 1):
            weak = self._weak_budget_models()
            if not weak:
                break
            if moved < self.game.cap_budget:
                self.state.add_budget_scores(weak, self.players.budget_step(weak))
        else:
            cap = self.game.cap_budget
            self.state.note(f"f_B reached its cap of {cap} moves above bound_budget")
        return self._filter_step()

    def _target_is_weak(self) -> bool:
        loss = self.players.validate(self.clips, budget=False).target_loss
        return loss > self.game.bound_target * self.players.blind_losses[0]

    def _weak_budget_models(self) -> list[int]:
        bound = self.game.bound_budget * self.players.blind_losses[1]
        losses = self.players.validate(self.clips).budget_losses
        return [i for i, loss in enumerate(losses) if loss > bound]
