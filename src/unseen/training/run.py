"""A run: initialisation, game, finish; its curves, checkpoints and folder.

Stages: `reconstruct` (f_D), `target-alone` (f_T on the frozen f_D), `target` (f_D + f_T), `budget`
(f_B on the frozen f_D), `game`, `finish` (f_T on the final f_D). A schedule
(`unseen.training.schedules`) makes the moves of each outer step of the game. Killed at any moment
and resumed, a run ends with the same weights, bit for bit: the state between two outer steps is in
the checkpoint, and randomness is a function of the step. It may go on with another number of
threads or on another device, which round differently: the bits are then others, and a GPU, which
adds up some gradients in any order, repeats itself up to rounding. So may it with another number of
processes; of these each draws its own noise and dropout, and BatchNorm
normalises over its share of a batch.
"""

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from unseen.config import RunConfig
from unseen.data.clips import ClipDataset
from unseen.errors import RunError
from unseen.files import write_json
from unseen.training.folder import (
    CONFIG_FILE,
    STAGE_FILE,
    Trained,
    first_steps,
    refuse,
    refuse_shared_clips,
    stage_lengths,
    write_run,
)
from unseen.training.game import Game
from unseen.training.processes import make_fabric
from unseen.training.restarting import Restarting
from unseen.training.schedules import SCHEDULES
from unseen.training.stages import Stage, StagedRun
from unseen.training.state import STAGES, State, known, running_mean


def train(config: RunConfig, data: ClipDataset, folder: Path, *, resume: bool = False) -> Trained:
    """Train a filter by the game and write it to `folder`.

    Args:
        config: what to do.
        data: labelled clips; of the test split no more is asked than that it is not in train.
        folder: the run's folder; new, unless `resume`.
        resume: go on where the last checkpoint was written.
    """
    refuse(config, folder, resume=resume)
    refuse_shared_clips(data)
    fabric = make_fabric(config.train)
    run = _Run(config, data, folder, fabric)
    run.open(resume)
    return run.finish() if run.state.stage >= len(STAGES) else run.go()


def train_among_others(config: RunConfig, data: ClipDataset, folder: Path) -> None:
    """`train`, or go on with it, in a program that does other things too.

    Several processes (`train.devices`) are started by running the program's command again: so that
    they do nothing else, that is then `unseen train`, which reads the data anew.

    Raises:
        RunError: it failed there.
    """
    path = folder / CONFIG_FILE
    if config.train.devices == 1:
        train(config, data, folder, resume=path.exists())
        return
    refuse(config, folder, resume=path.exists())
    write_json(path, config.model_dump(mode="json"))
    seen = sys.stderr.isatty()
    command = [sys.executable, "-m", "unseen", "train", "-o", str(folder), "--resume"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=None if seen else subprocess.PIPE, text=True
    ) as process:
        try:
            _, told = process.communicate()
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        lines = (told or f"it ended with {process.returncode}, see above").strip().splitlines()
        ours = [line.removeprefix("unseen: ") for line in lines if line.startswith("unseen: ")]
        raise RunError((ours or lines[-1:])[0])


class _Run(StagedRun):
    state: State

    def __init__(self, config: RunConfig, data: ClipDataset, folder: Path, fabric: Fabric) -> None:
        self.config, self.data = config, data
        self.game = Game(config, data, fabric)
        super().__init__(config, folder, self.game, fabric, {"data": data.hash})
        self._use({"gamma": config.game.gamma, "budget_scores": [math.nan] * self.game.ensemble})

    def _use(self, state: Mapping[str, Any]) -> None:
        """See `StagedRun`; schedule and restarting write to the state."""
        self.state, game = State(**state), self.config.game
        schedule = SCHEDULES[game.schedule]
        self.schedule = schedule(game, self.game, self.state, 4 * self.config.train.batch)
        self.restarting = Restarting(game, self.game, self.state, self.schedule)

    # ------------------------------------------------------------ stages

    def go(self) -> Trained:
        moves = {
            "reconstruct": self._reconstruct,
            "target-alone": self._target_alone,
            "target": self._init_target,
            "budget": self._init_budget,
            "game": self._game_step,
            "finish": self._target_alone,
        }
        lengths = stage_lengths(self.config)
        self._go_through([Stage(name, lengths[name], moves[name]) for name in STAGES])
        return self.finish()

    def _prepare(self, stage: Stage) -> None:
        self.game.set_rate(self._rate(stage.name, stage.length))

    def _ended(self, stage: Stage) -> None:
        if stage.name == "reconstruct":
            self.state.target_loss = math.nan  # it was the error of the reconstruction
        self._save(self.folder / STAGE_FILE.format(stage.name))
        super()._ended(stage)

    def _rate(self, stage: str, length: int) -> float:
        """Factor of the step sizes of f_D and f_T: up at the start, down at the end of the game."""
        if self.config.train.lr_schedule == "constant":
            return 1.0
        if stage in ("reconstruct", "target-alone", "target", "budget"):
            return min(1.0, (self.state.step + 1) / 30)
        left = 1.0 - self.state.step / length
        return max(0.02, min(1.0, left / 0.4)) if stage == "game" else 0.3 * left

    def _status(self) -> str:
        scores = " ".join(f"{100 * s:.0f}" for s in self.state.budget_scores)
        return f"L_T {self.state.target_loss:.2f} gamma {self.state.gamma:.1f} f_B {scores}%"

    def _reconstruct(self) -> None:
        self.state.target_loss = running_mean(self.state.target_loss, self.game.reconstruct_step())

    def _init_target(self) -> None:
        move = self.game.filter_step(0.0, with_target=True)
        self.state.target_loss = running_mean(self.state.target_loss, move.target_loss)

    def _init_budget(self) -> None:
        everyone = range(self.game.ensemble)
        self.state.add_budget_scores(everyone, self.game.budget_step(everyone))

    def _target_alone(self) -> None:
        loss = self.game.target_step(with_filter=False)
        self.state.target_loss = running_mean(self.state.target_loss, loss)

    def _game_step(self) -> None:
        game, state = self.config.game, self.state
        if not self.game.ensemble:
            self._init_target()
            return
        self.restarting.restart_if_due()
        move = self.schedule.step()
        self.restarting.watch(move)
        state.privacy_loss = running_mean(state.privacy_loss, move.privacy_loss)
        if game.hold_loss is not None:
            slack = (game.hold_loss - state.target_loss) / game.hold_loss
            factor = math.exp(game.gamma_rate * max(-1.0, min(1.0, slack)))
            state.gamma = min(game.gamma_max, max(game.gamma_min, state.gamma * factor))

    def _log(self, stage: Stage) -> None:
        if stage.name == "reconstruct":
            return
        state = self.state
        found = self.game.validate(8 * self.config.train.batch)
        self._count_seconds()
        state.rows.append(
            {
                "stage": stage.name,
                "step": first_steps(self.config)[stage.name] + state.step,
                "target_loss": known(state.target_loss),
                "target_accuracy": found.target_score,
                "gamma": state.gamma if stage.name == "game" else 0.0,
                "privacy_loss": state.privacy_loss,
                "budget_accuracy": found.budget_scores,
                "budget_training": [known(value) for value in state.budget_scores],
                "seconds": state.seconds,
            }
        )

    # ------------------------------------------------------------ the end

    def finish(self) -> Trained:
        found, state = self.game.validate(), self.state
        weak = [r for r in state.restarts if not r["reached"]]
        notes = _summary(state.notes)
        if weak:
            notes.append(
                f"in {len(weak)} of {len(state.restarts)} restarts a budget model never reached th2"
            )
        trained = Trained(
            self.folder, found.target_score, tuple(found.budget_scores), state.seconds, tuple(notes)
        )
        if self.fabric.global_rank == 0:
            write_run(self.game, state, trained)
        self.fabric.barrier()  # what follows in any process finds the whole run
        return trained


def _summary(notes: list[str]) -> list[str]:
    """Notes of one kind counted, as a long run repeats them."""
    kinds = Counter(note.split(": ", 1)[1] for note in notes)
    return [f"{kind} ({count} times)" if count > 1 else kind for kind, count in kinds.items()]
