"""Schedules against their algorithms in NumPy, on a game of a few numbers; every loop ends."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest

from tiny_game import (
    ALPHA_B,
    ALPHA_D,
    ALPHA_T,
    BLIND,
    GAMMA,
    SIGHT,
    START_B,
    UNSEEN,
    WISH,
    Quadratic,
)
from unseen.config import GameConfig
from unseen.data.clips import LabelSet
from unseen.training.classifier import blind_loss
from unseen.training.moves import Validation
from unseen.training.schedules import SCHEDULES
from unseen.training.state import STAGES, State

Point = npt.NDArray[np.float64]


class ByHand:
    """The same game in NumPy, its derivatives worked out by hand, for oracles to loop over."""

    def __init__(self) -> None:
        self.d, self.t, self.b = np.array([0.3, 0.7]), np.zeros(2), START_B.copy()

    def lt(self) -> float:
        return float(((self.t - self.d) ** 2).sum() + ((self.d - WISH) ** 2).sum()) / 2

    def lb(self, i: int) -> float:
        seen = ((self.b[i] - SIGHT[i] * self.d) ** 2).sum()
        return float(seen + UNSEEN[i] * (self.d**2).sum()) / 2

    def dlb_dd(self, i: int) -> Point:
        slope: Point = -SIGHT[i] * (self.b[i] - SIGHT[i] * self.d) + UNSEEN[i] * self.d
        return slope

    def dlt_dd(self) -> Point:
        slope: Point = (self.d - self.t) + (self.d - WISH)
        return slope

    def target(self, with_filter: bool) -> None:
        t, d = self.t - ALPHA_T * (self.t - self.d), self.d - ALPHA_T * self.dlt_dd()
        self.t, self.d = t, d if with_filter else self.d

    def budget(self, i: int, d: Point | None = None) -> None:
        self.b[i] = self.b[i] - ALPHA_B * (self.b[i] - SIGHT[i] * (self.d if d is None else d))

    def until_th2(self, i: int, game: GameConfig) -> None:
        mean = None
        for n in range(1, game.cap_budget + 1):
            score = math.exp(-self.lb(i))
            mean = score if mean is None else 0.9 * mean + 0.1 * score
            self.budget(i)
            if n >= 5 and mean >= game.th2:
                return

    def until_th1(self, game: GameConfig, with_filter: bool) -> None:
        for _ in range(game.cap_target):
            if math.exp(-self.lt()) >= game.th1:
                return
            self.target(with_filter)

    def numbers(self) -> Point:
        return np.array([self.d, self.t, *self.b])


def _k_beam(x: ByHand, game: GameConfig) -> None:
    """Wang19 algorithm 3, lines 3-17."""
    j = min(range(3), key=x.lb)
    for _ in range(game.d_iter):
        x.d = x.d + ALPHA_D * x.dlb_dd(j)
    for k in range(3):
        x.until_th2(k, game)
    x.until_th1(game, with_filter=game.end_to_end)  # as in line 16, where it is on


def _algorithms_1_2_4(x: ByHand, game: GameConfig) -> None:
    """Wang19 algorithms 1 (f_T alone) and 2, 4 (f_T and f_D), lines 3-9 and 6-14."""
    j = min(range(3), key=x.lb)
    x.d = x.d - ALPHA_D * (x.dlt_dd() - GAMMA * x.dlb_dd(j))
    x.until_th1(game, with_filter=game.end_to_end)
    for i in range(3):
        x.until_th2(i, game)


def _three_party(x: ByHand, game: GameConfig) -> None:
    """Wu18 3.2, as one decision a move."""
    moved = {"T": 0, "B": 0}
    for _ in range(game.cap_target + game.cap_budget):
        weak = [i for i in range(3) if x.lb(i) > game.bound_budget * BLIND[1]]
        if x.lt() > game.bound_target * BLIND[0] and moved["T"] < game.cap_target:
            x.target(game.end_to_end)
            moved["T"] += 1
        elif weak and moved["B"] < game.cap_budget:
            for i in weak:
                x.budget(i)
            moved["B"] += 1
    j = min(range(3), key=x.lb)
    x.d = x.d - ALPHA_D * (x.dlt_dd() - GAMMA * x.dlb_dd(j))


def _alternating(x: ByHand, game: GameConfig) -> None:
    """f_B first see what f_D made before it moved, then what it makes now."""
    before = x.d
    j = min(range(3), key=x.lb)
    x.d = x.d - ALPHA_D * (x.dlt_dd() - GAMMA * x.dlb_dd(j))
    for d in [before, *[x.d] * (game.budget_steps - 1)]:
        for i in range(3):
            x.budget(i, d)


ORACLES = {
    "alternating": _alternating, "k_beam": _k_beam, "monitored": _algorithms_1_2_4,
    "three_party": _three_party,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "as a rule": {
        "th1": 0.7, "th2": 0.97, "cap_target": 9, "cap_budget": 20, "budget_steps": 3,
    },
    "f_T alone": {"th1": 0.7, "th2": 0.97, "cap_target": 9, "end_to_end": False},
    "never strong": {
        "th1": 1, "th2": 1, "cap_target": 3, "cap_budget": 4, "bound_target": 0, "bound_budget": 0,
    },
    "at once": {"th1": 0, "th2": 0, "bound_target": 99, "bound_budget": 99, "d_iter": 1},
    "close": {"th1": 0.8, "th2": 0.99, "cap_target": 6, "bound_target": 0.5, "bound_budget": 0.012},
}  # fmt: skip


def _game(schedule: str, **settings: Any) -> GameConfig:
    values: dict[str, Any] = {"gamma": GAMMA, "joint": False, "d_iter": 6, "cap_budget": 20}
    return GameConfig(schedule=schedule, **(values | settings))


def _state() -> State:
    return State(stage=STAGES.index("game"), gamma=GAMMA, budget_scores=[math.nan] * 3)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", ORACLES)
def test_a_schedule_is_its_algorithm(name: str, setting: str) -> None:
    game, players, by_hand = _game(name, **SETTINGS[setting]), Quadratic(), ByHand()
    schedule = SCHEDULES[name](game, players, _state(), 8)
    for _ in range(12):
        schedule.step()
        before = by_hand.numbers()
        ORACLES[name](by_hand, game)
        np.testing.assert_allclose(players.numbers(), by_hand.numbers(), rtol=1e-9, atol=1e-12)
        assert np.abs(by_hand.numbers() - before).max() > 1e-6  # the game goes on


def test_every_schedule_has_an_oracle_and_a_setting() -> None:
    assert set(ORACLES) == set(SCHEDULES)
    assert set(get_args(GameConfig.model_fields["schedule"].annotation)) == set(SCHEDULES)


def test_the_hardest_of_the_beam_is_chosen_once_a_step() -> None:
    """Ascending L_B of the smallest can make it the largest: line 4 stands before the loop."""
    players = Quadratic()
    schedule = SCHEDULES["k_beam"](_game("k_beam", d_iter=40), players, _state(), 8)
    drivers = []
    for _ in range(6):
        players.moves.clear()
        j = players._hardest()
        move = schedule.step()
        assert players.moves[:40] == [f"D{j}"] * 40
        assert move.hardest == j
        drivers.append(j)
    assert len(set(drivers)) > 1


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("alternating", ["D", "B", "B"]),
        ("monitored", ["D", "TD", "B"]),
        ("k_beam", ["D", "B", "TD"]),
        ("three_party", ["TD", "B", "D"]),
    ],
)
def test_every_loop_ends_at_its_cap_and_says_so(name: str, order: list[str]) -> None:
    game = _game(name, cap_target=7, cap_budget=6, d_iter=4, budget_steps=2)
    players, state = Quadratic(strong=False), _state()
    SCHEDULES[name](game, players, state, 8).step()
    kinds = [move[:1] if move[0] in "DB" else move for move in players.moves]
    runs = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]
    assert runs == list(dict.fromkeys(order))
    expected = {
        "alternating": {"D": 1, "B": 3 * 2},
        "monitored": {"D": 1, "TD": 7, "B": 3 * 6},
        "k_beam": {"D": 4, "TD": 7, "B": 3 * 6},
        "three_party": {"D": 1, "TD": 7, "B": 3 * 6},
    }[name]
    assert Counter(kinds) == expected
    caps = {
        "alternating": [],
        "monitored": ["f_T loop reached its cap of 7"] + ["a budget loop reached its cap of 6"] * 3,
        "k_beam": ["a budget loop reached its cap of 6"] * 3 + ["f_T loop reached its cap of 7"],
        "three_party": ["f_T reached its cap of 7 moves", "f_B reached its cap of 6 moves"],
    }[name]
    assert len(state.notes) == len(caps)
    assert all(cap in note for cap, note in zip(caps, state.notes, strict=True))


def test_a_threshold_that_is_met_exactly_ends_the_loop() -> None:
    players = Quadratic()
    score = players.validate(budget=False).target_score
    game = _game("monitored", th1=score, cap_target=5, th2=0, cap_budget=5)
    players.moves.clear()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(players, "validate", lambda *_, **__: Validation(score, 0.0, [], []))
        SCHEDULES["monitored"](game, players, _state(), 8).step()
    assert "T" not in {move[0] for move in players.moves}


def test_the_training_scores_of_budget_models_are_kept_for_the_log() -> None:
    players, state = Quadratic(), _state()
    state.budget_scores = [0.9] * 3  # of other models or an older f_D: they do not count
    game = _game("monitored", th1=0, th2=1, cap_budget=4)
    scores: list[list[float]] = []
    budget_step = players.budget_step

    def step(indices: Sequence[int], *rest: Any) -> list[float]:
        scores.append(budget_step(indices, *rest))
        return scores[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(players, "budget_step", step)
        SCHEDULES["monitored"](game, players, state, 8).train_budget(range(3), 4)
    expected = np.array(scores[0])
    for later in scores[1:]:
        expected = 0.9 * expected + 0.1 * np.array(later)
    np.testing.assert_allclose(state.budget_scores, expected)


def test_only_budget_models_above_the_bound_move() -> None:
    players = Quadratic()
    players.restart([0, 1, 2])
    losses = players.validate().budget_losses
    bound = sorted(losses)[1]  # one is above, one at it, one below
    game = _game("three_party", bound_budget=bound / BLIND[1], bound_target=99, cap_budget=1)
    players.moves.clear()
    SCHEDULES["three_party"](game, players, _state(), 8).step()
    assert players.moves == [f"B{int(np.argmax(losses))}", "D"]


def test_models_that_guess_the_frequency_of_rare_attributes_go_on_learning() -> None:
    """Attributes that one clip in fifty has: a blind guess has a loss of 0.1 nats, which is not
    small for them."""
    rare = np.zeros((50, 3))
    rare[0] = 1
    players = Quadratic()
    blind = blind_loss(rare, LabelSet("a,b,c", ("a", "b", "c"), multi_label=True))
    assert blind < 0.1
    players.blind_losses = (1.0, blind)
    players.restart([0, 1, 2])
    game = _game("three_party", bound_target=99, cap_budget=2)
    found = Validation(1.0, 0.0, [0.98] * 3, [blind] * 3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(players, "validate", lambda *_, **__: found)
        players.moves.clear()
        SCHEDULES["three_party"](game, players, _state(), 8).step()
    assert players.moves == ["B0", "B1", "B2"] * 2 + ["D"]
