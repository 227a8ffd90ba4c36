"""Budget model restarting (Wu18 3.3, Wang19 3.4.1): when, whom, and until strong again."""

import math

from unseen.config import GameConfig
from unseen.training.moves import Players, PrivacyMove
from unseen.training.schedules import Schedule
from unseen.training.state import State, known, running_mean


class Restarting:
    """Replaces budget models by new ones with random weights; combines with every schedule.

    When: every `restart_every` outer steps (Wang19 algorithm 4, lines 3-5; Wu18 4.1), and when the
    leak "stops decreasing" (Wu18 3.3, Wang19 3.4.1): its running mean has not gone below its
    lowest since the last restart, by more than `restart_tolerance`, for `restart_patience` outer
    steps. How: new random weights, then training on the frozen f_D until th2 or `restart_cap`.

    Differs from the paper: "stops decreasing" is not defined there; the leak is J_B of the budget
    model that drives f_D. Algorithm 4 counts from 1 and so restarts before its 100th step of f_D,
    Wu18 4.1 "after every 100 iterations", as here. Algorithm 4 goes on to f_D at once; the
    retraining is that of Wang19 3.4.1.

    Args:
        game: the settings of the game.
        players: whose budget models are restarted.
        state: of the run; the account of restarts, and the leak so far, are in it.
        schedule: whose loop trains them again.
    """

    def __init__(
        self, game: GameConfig, players: Players, state: State, schedule: Schedule
    ) -> None:
        self.game, self.players, self.state, self.schedule = game, players, state, schedule

    def watch(self, move: PrivacyMove) -> None:
        """Take note of the leak after an outer step."""
        state = self.state
        if move.hardest < 0:  # gamma is 0: f_D met no budget model
            return
        state.leak = running_mean(state.leak, move.privacy_loss)
        if state.leak < state.lowest_leak - self.game.restart_tolerance:
            state.lowest_leak, state.stale_steps = state.leak, 0
        else:
            state.stale_steps += 1

    def due(self) -> str:
        """Why models are to be restarted before the next outer step; empty if they are not."""
        game, state = self.game, self.state
        if game.restart_every and state.step and state.step % game.restart_every == 0:
            return "every"
        if game.restart_patience and state.stale_steps >= game.restart_patience:
            return "plateau"
        return ""

    def restart_if_due(self) -> None:
        """Restart all budget models, or the oldest, when it is time to."""
        if why := self.due():
            self._restart(why)

    def _restart(self, why: str) -> None:
        game, state = self.game, self.state
        if game.restart == "all":
            chosen = list(range(self.players.ensemble))
        else:
            chosen = [state.next_restart % self.players.ensemble]
            state.next_restart += 1
        before = [known(state.budget_scores[i]) for i in chosen]
        self.players.restart(chosen)
        loop = self.schedule.train_budget(chosen, game.restart_cap)
        state.leak, state.lowest_leak, state.stale_steps = math.nan, math.inf, 0
        state.restarts.append(
            {
                "step": state.step, "why": why, "models": chosen, "before": before,
                "after": [state.budget_scores[i] for i in chosen],
                "steps": loop.steps, "reached": loop.weakest >= game.th2,
            }
        )  # fmt: skip
