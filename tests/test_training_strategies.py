"""Restarting, the strategies on the tiny game, resuming in their middle, and their presets."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tiny_game import Quadratic, tiny_config, tiny_data
from unseen.config import GameConfig, RunConfig, load_config
from unseen.data.clips import ClipDataset
from unseen.errors import ConfigError
from unseen.training import checkpoint
from unseen.training.folder import CHECKPOINT
from unseen.training.game import Game
from unseen.training.moves import Batch, PrivacyMove
from unseen.training.processes import make_fabric
from unseen.training.restarting import Restarting
from unseen.training.run import train
from unseen.training.schedules import SCHEDULES
from unseen.training.state import STAGES, State


def _game(schedule: str, **settings: Any) -> GameConfig:
    return GameConfig(schedule=schedule, **settings)


def _state() -> State:
    return State(stage=STAGES.index("game"), gamma=2.0, budget_scores=[math.nan] * 3)


# ---------------------------------------------------------------- when to restart


def _plateaus(leaks: list[float], patience: int, tolerance: float) -> list[int]:
    """After which steps the leak had not fallen for `patience` steps, by a look at all of it."""
    found, since = [], 0
    for step in range(1, len(leaks) + 1):
        means: list[float] = []
        for leak in leaks[since:step]:
            means.append(leak if not means else 0.9 * means[-1] + 0.1 * leak)
        low, last_fall = math.inf, 0
        for i, mean in enumerate(means, 1):
            if mean < low - tolerance:
                low, last_fall = mean, i
        if len(means) - last_fall >= patience:
            found.append(step)
            since = step
    return found


@pytest.mark.parametrize("tolerance", [0.01, 0.1])
@pytest.mark.parametrize("restart", ["all", "oldest"])
def test_restarts_come_when_the_leak_has_stopped_falling(restart: str, tolerance: float) -> None:
    rng = np.random.default_rng(3)
    leaks = [
        *np.linspace(0, -2, 15),
        *[-2.0] * 12,
        *np.linspace(-0.5, -2, 20),
        *rng.normal(size=20),
    ]
    game = _game(
        "k_beam", restart=restart, restart_patience=4, restart_tolerance=tolerance, restart_cap=5,
        th2=0.1,
    )  # fmt: skip
    players, state = Quadratic(), _state()
    restarting = Restarting(game, players, state, SCHEDULES["k_beam"](game, players, state, 8))
    for leak in leaks:
        restarting.restart_if_due()
        restarting.watch(PrivacyMove(float(leak), 0))
        state.step += 1
    restarting.restart_if_due()
    expected = _plateaus([float(leak) for leak in leaks], 4, tolerance)
    if tolerance == 0.1:
        assert expected != _plateaus([float(leak) for leak in leaks], 4, 0.0)
    assert [each["step"] for each in state.restarts] == expected
    assert len(expected) >= 3
    everyone = [0, 1, 2]
    assert [each["models"] for each in state.restarts] == [
        everyone if restart == "all" else [n % 3] for n in range(len(expected))
    ]
    assert {each["why"] for each in state.restarts} == {"plateau"}


def test_both_reasons_to_restart_combine() -> None:
    game = _game("monitored", restart_every=5, restart_patience=3, restart_cap=5)
    players, state = Quadratic(), _state()
    restarting = Restarting(game, players, state, SCHEDULES["monitored"](game, players, state, 8))
    for step in range(12):
        restarting.restart_if_due()
        restarting.watch(PrivacyMove(-1.0 if step < 6 else -1.0 - step, 0))
        state.step += 1
    # Constant up to step 5: the first value is a fall, three more are none. Then it falls.
    assert [(each["step"], each["why"]) for each in state.restarts] == [
        (4, "plateau"), (5, "every"), (10, "every"),
    ]  # fmt: skip


def test_without_a_leak_nothing_is_watched() -> None:
    game = _game("alternating", restart_patience=1)
    players, state = Quadratic(), _state()
    restarting = Restarting(game, players, state, SCHEDULES["alternating"](game, players, state, 8))
    for _ in range(5):
        restarting.watch(PrivacyMove(0.0, -1))
    assert restarting.due() == ""


# ---------------------------------------------------------------- on the tiny game

SCHEDULED = (
    "game.joint=false", "game.cap_target=2", "game.cap_budget=3", "game.d_iter=2", "game.th1=1",
    "game.th2=1", "game.bound_target=0.01", "game.bound_budget=0.01",
)  # fmt: skip
THREE = "budget_models=mobilenet-gn:0.01,mobilenet-gn:0.01,mobilenet-gn:0.03"


@pytest.fixture(scope="module")
def data() -> ClipDataset:
    return tiny_data(tiny_config())


def _weights(module: nn.Module) -> list[Tensor]:
    return [value.detach().clone() for value in module.state_dict().values()]


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _tiny(data: ClipDataset, name: str, *overrides: str) -> tuple[RunConfig, Game]:
    config = tiny_config(*SCHEDULED, f"game.schedule={name}", THREE, *overrides)
    return config, Game(config, data, make_fabric(config.train))


@pytest.mark.parametrize("objective", ["negative_entropy", "gradient_reversal"])
@pytest.mark.parametrize("name", list(SCHEDULES))
def test_all_budget_models_train_whichever_drives(
    data: ClipDataset, name: str, objective: str
) -> None:
    config, game = _tiny(data, name, f"game.objective={objective}")
    before = {key: _weights(module) for key, module in game.modules().items()}
    move = SCHEDULES[name](config.game, game, _state(), 8).step()
    changed = {
        key for key, module in game.modules().items() if not _same(before[key], _weights(module))
    }
    assert changed >= {"filter", "budget0", "budget1", "budget2"}
    assert ("target" in changed) == (name != "alternating")
    assert move.hardest in (0, 1, 2)


@pytest.mark.parametrize("restart", ["all", "oldest"])
def test_a_restart_trains_new_models_on_a_filter_that_stands(
    data: ClipDataset, restart: str
) -> None:
    config, game = _tiny(
        data, "k_beam", f"game.restart={restart}", "game.restart_patience=1", "game.restart_cap=6"
    )
    state = _state()
    schedule = SCHEDULES["k_beam"](config.game, game, state, 8)
    restarting = Restarting(config.game, game, state, schedule)
    schedule.step()
    state.stale_steps = 1
    before = {key: _weights(module) for key, module in game.modules().items()}
    adam = {key: len(optimizer.state) for key, optimizer in game.optimizers().items()}
    restarting.restart_if_due()
    new = {"budget0", "budget1", "budget2"} if restart == "all" else {"budget0"}
    for key, module in game.modules().items():
        assert _same(before[key], _weights(module)) == (key not in new), key
    assert math.isnan(state.leak)
    assert (state.lowest_leak, state.stale_steps) == (math.inf, 0)
    assert {key: len(optimizer.state) for key, optimizer in game.optimizers().items()} == adam
    assert restarting.due() == ""


class _KilledError(Exception):
    """A kill in the middle of a move."""


class _KilledAt(Game):
    """Falls over when it draws the batch of one move."""

    last = 0

    def draw(self) -> Batch:
        if self.moves == self.last:
            raise _KilledError
        return super().draw()


RESUMED = (
    "filter.output_limits=noise:0.1", "train.steps=7", "train.init_target=1", "train.init_budget=2",
    "train.finish=1", "train.checkpoint_every=0", "train.log_every=100", "game.restart=oldest",
    "game.restart_patience=2", "game.restart_cap=5", "game.restart_tolerance=0.2", "data.val=13",
)  # fmt: skip


@pytest.mark.parametrize("name", ["monitored", "k_beam", "three_party"])
def test_killed_in_the_middle_of_a_schedule_it_resumes_to_the_same_bits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(*SCHEDULED, f"game.schedule={name}", *RESUMED)
    data = tiny_data(config)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected = train(config, data, whole)
    loaded = checkpoint.load(whole / CHECKPOINT)
    moves, restarts = loaded.progress["state"]["moves"], loaded.progress["state"]["restarts"]
    assert len(restarts) >= 2
    # Twice, at about one and two thirds of all moves: each somewhere within an outer step.
    for n, last in enumerate((moves // 3, 2 * moves // 3)):
        with monkeypatch.context() as patch:
            patch.setattr(_KilledAt, "last", last)
            patch.setattr("unseen.training.run.Game", _KilledAt)
            with pytest.raises(_KilledError):
                train(config, data, killed, resume=n > 0)
        state = checkpoint.load(killed / CHECKPOINT).progress["state"]
        assert STAGES[state["stage"]] == "game"
        assert 0 < state["moves"] < last
    found = train(config, data, killed, resume=True)
    again = checkpoint.load(killed / CHECKPOINT)
    assert again.tensors.keys() == loaded.tensors.keys()
    assert all(torch.equal(again.tensors[key], value) for key, value in loaded.tensors.items())
    for key in (
        "restarts",
        "notes",
        "leak",
        "lowest_leak",
        "stale_steps",
        "budget_scores",
        "moves",
    ):
        assert str(again.progress["state"][key]) == str(loaded.progress["state"][key]), key
    assert found.budget_accuracy == expected.budget_accuracy


# ---------------------------------------------------------------- the named strategies

# Objective, schedule, f_T's loop end to end, M or K, steps of the game, restarting: Wang19
# algorithms 1-4 and 4.1, Wu18 3.2 and 4.1.
NAMED = {
    "grl": ("gradient_reversal", "monitored", False, 1, 67, 0),
    "entropy": ("negative_entropy", "monitored", True, 1, 67, 0),
    "uniform": ("uniform_cross_entropy", "monitored", True, 1, 67, 0),
    "k-beam": ("gradient_reversal", "k_beam", True, 4, 67, 0),
    "wu18": ("negative_entropy", "three_party", False, 4, 400, 100),
    "wang19-sbu-entropy": ("negative_entropy", "monitored", True, 4, 400, 100),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_strategies_have_the_constants_of_the_papers(name: str) -> None:
    config = load_config(name)
    game, rates = config.game, config.train
    assert NAMED[name] == (
        game.objective, game.schedule, game.end_to_end, len(config.budget_models), rates.steps,
        game.restart_every,
    )  # fmt: skip
    assert (game.gamma, game.th1, game.th2, game.d_iter) == (2.0, 0.85, 0.99, 30)
    assert (rates.lr_target, rates.lr_budget, rates.lr_filter) == (1e-5, 1e-2, 1e-4)
    assert rates.lr_schedule == "constant"
    assert (game.joint, game.hold_loss, game.restart_patience) == (False, None, 0)
    assert (config.data.size, config.data.frames, config.target_model) == (112, 16, "c3d")
    widths = [float(model.partition(":")[2]) for model in config.budget_models]
    assert widths == ([0.6] * 4 if name == "k-beam" else [0.6, 0.58, 0.56, 0.54][: len(widths)])


def test_a_multiplier_without_a_use_is_refused() -> None:
    with pytest.raises(ConfigError, match="which schedule k_beam has none of; set hold_loss=null"):
        load_config(overrides=["game.schedule=k_beam", "game.hold_loss=0.5"])
    override = ["game.schedule=k_beam", "game.hold_loss=null"]
    assert load_config("demo", override).game.hold_loss is None
