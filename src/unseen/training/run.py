"""A run: initialisation, game, finish; its curves, checkpoints and folder.

Stages: `reconstruct` (f_D), `target` (f_D + f_T), `budget` (f_B on the frozen f_D), `game`,
`finish` (f_T on the final f_D). Killed at any moment and resumed, a run ends with the same
weights, bit for bit: the state between two outer steps is in the checkpoint, and randomness is a
function of the step.
"""

import math
import time
from dataclasses import asdict
from pathlib import Path

from lightning_fabric import Fabric

from unseen.config import RunConfig
from unseen.data.clips import ClipDataset
from unseen.errors import RunError
from unseen.files import write_json
from unseen.machine import use_cores
from unseen.progress import progress
from unseen.training import checkpoint
from unseen.training.folder import (
    CHECKPOINT,
    CONFIG_FILE,
    STAGES,
    State,
    Trained,
    first_steps,
    refuse,
    write_run,
)
from unseen.training.game import Game

# Iterations without a better validation score that end the f_T loop (the authors' code).
PLATEAU = 10
# Weight of the past in running means of losses and scores.
_KEEP = 0.9


def make_fabric(config: RunConfig) -> Fabric:
    """The device and processes of a configuration, launched."""
    accelerator = {"auto": "auto", "cpu": "cpu", "cuda": "cuda"}[config.train.device]
    devices = config.train.devices
    fabric = Fabric(
        accelerator=accelerator, devices=devices, strategy="ddp" if devices > 1 else "auto"
    )
    fabric.launch()
    if fabric.device.type == "cpu":
        use_cores(config.train.threads)
    return fabric


def train(config: RunConfig, data: ClipDataset, folder: Path, *, resume: bool = False) -> Trained:
    """Train a filter by the game and write it to `folder`.

    Args:
        config: what to do.
        data: labelled clips; the test split is not touched.
        folder: the run's folder; new, unless `resume`.
        resume: go on where the last checkpoint was written.
    """
    refuse(config, folder, resume=resume)
    fabric = make_fabric(config)
    run = _Run(config, data, folder, fabric)
    run.open(resume)
    return run.finish() if run.state.stage >= len(STAGES) else run.go()


class _Run:
    def __init__(self, config: RunConfig, data: ClipDataset, folder: Path, fabric: Fabric) -> None:
        self.config, self.data, self.folder, self.fabric = config, data, folder, fabric
        self.game = Game(config, data, fabric)
        self.state = State(gamma=config.game.gamma, budget_scores=[math.nan] * self.game.ensemble)
        self._saved_at = time.monotonic()
        self._clock = time.monotonic()

    # ------------------------------------------------------------ the folder

    def open(self, resume: bool) -> None:
        if not resume:
            # All processes have looked before the first one writes.
            self.fabric.barrier()
            if self.fabric.global_rank == 0:
                write_json(self.folder / CONFIG_FILE, self.config.model_dump(mode="json"))
            return
        checkpoint_path = self.folder / CHECKPOINT
        if not checkpoint_path.exists():
            return
        loaded = checkpoint.load(checkpoint_path)
        if loaded.progress["data"] != self.data.hash:
            raise RunError(f"{self.folder} was trained on other data; resume it with the same")
        self.state = State(**loaded.progress["state"])
        self.game.moves = self.state.moves
        checkpoint.unpack(loaded, self.game.modules(), self.game.optimizers())

    def _save(self, path: Path) -> None:
        self._count_seconds()
        self.state.moves = self.game.moves
        if self.fabric.global_rank == 0:
            tensors = checkpoint.pack(self.game.modules(), self.game.optimizers())
            note = {"state": asdict(self.state), "data": self.data.hash}
            checkpoint.save(path, checkpoint.Checkpoint(tensors, note))
        self._saved_at = time.monotonic()

    def _maybe_save(self) -> None:
        if time.monotonic() - self._saved_at >= self.config.train.checkpoint_every:
            self._save(self.folder / CHECKPOINT)

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.state.seconds += now - self._clock
        self._clock = now

    # ------------------------------------------------------------ stages

    def go(self) -> Trained:
        train = self.config.train
        ensemble = self.game.ensemble
        lengths = {
            "reconstruct": train.init_reconstruct,
            "target": train.init_target,
            "budget": train.init_budget if ensemble else 0,
            "game": train.steps,
            "finish": train.finish,
        }
        moves = {
            "reconstruct": self._reconstruct,
            "target": self._init_target,
            "budget": self._init_budget,
            "game": self._game_step,
            "finish": self._finish_step,
        }
        self._clock = time.monotonic()
        while self.state.stage < len(STAGES):
            name = STAGES[self.state.stage]
            length = lengths[name]
            with progress(length, name, "step", start=self.state.step) as bar:
                while self.state.step < length:
                    self.game.set_rate(self._rate(name, length))
                    moves[name]()
                    self.state.step += 1
                    bar.update(1)
                    bar.set_postfix_str(self._status(), refresh=False)
                    if self.state.step % train.log_every == 0 or self.state.step == length:
                        self._log(name)
                    self._maybe_save()
            self.state.stage += 1
            self.state.step = 0
            if length:
                self._save(self.folder / f"stage-{name}.safetensors")
                self._save(self.folder / CHECKPOINT)
        self._save(self.folder / CHECKPOINT)
        return self.finish()

    def _rate(self, stage: str, length: int) -> float:
        """Factor of the step sizes of f_D and f_T: up at the start, down at the end of the game."""
        if self.config.train.lr_schedule == "constant":
            return 1.0
        if stage in ("reconstruct", "target", "budget"):
            return min(1.0, (self.state.step + 1) / 30)
        left = 1.0 - self.state.step / length
        return max(0.02, min(1.0, left / 0.4)) if stage == "game" else 0.3 * left

    def _status(self) -> str:
        scores = " ".join(f"{100 * s:.0f}" for s in self.state.budget_scores)
        return f"L_T {self.state.target_loss:.2f} gamma {self.state.gamma:.1f} f_B {scores}%"

    def _smooth(self, old: float, new: float) -> float:
        return new if math.isnan(old) else _KEEP * old + (1 - _KEEP) * new

    def _reconstruct(self) -> None:
        self.state.target_loss = self._smooth(self.state.target_loss, self.game.reconstruct_step())

    def _init_target(self) -> None:
        if self.state.step == 0:
            self.state.target_loss = math.nan
        move = self.game.filter_step(0.0, with_target=True)
        self.state.target_loss = self._smooth(self.state.target_loss, move.target_loss)

    def _init_budget(self) -> None:
        self._budget_scores(self.game.budget_step(range(self.game.ensemble)))

    def _budget_scores(self, scores: list[float]) -> None:
        self.state.budget_scores = [
            self._smooth(old, new)
            for old, new in zip(self.state.budget_scores, scores, strict=True)
        ]

    def _finish_step(self) -> None:
        loss = self.game.target_step(with_filter=False)
        self.state.target_loss = self._smooth(self.state.target_loss, loss)

    def _game_step(self) -> None:
        game, state = self.config.game, self.state
        if not self.game.ensemble:
            self._init_target()
            return
        if game.restart_every and state.step and state.step % game.restart_every == 0:
            self._restart()
        move = self.game.filter_step(state.gamma, with_target=game.joint)
        state.target_loss = self._smooth(state.target_loss, move.target_loss)
        state.privacy_loss = self._smooth(state.privacy_loss, move.privacy_loss)
        if game.schedule == "monitored":
            self._target_until_strong()
            for i in range(self.game.ensemble):
                self._budget_until_strong([i], game.cap_budget)
        else:
            everyone = range(self.game.ensemble)
            self._budget_scores(self.game.budget_step(everyone, move.seen, move.batch))
            for _ in range(game.budget_steps - 1):
                self._budget_scores(self.game.budget_step(everyone))
        if game.hold_loss is not None:
            slack = (game.hold_loss - state.target_loss) / game.hold_loss
            factor = math.exp(game.gamma_rate * max(-1.0, min(1.0, slack)))
            state.gamma = min(game.gamma_max, max(game.gamma_min, state.gamma * factor))

    def _target_until_strong(self) -> None:
        """Wang19 algorithms 1-4: update f_T (4b) or f_T and f_D (6b) until th1, or a cap."""
        game = self.config.game
        with_filter = game.objective != "gradient_reversal"
        best, since = -1.0, 0
        for _ in range(game.cap_target):
            accuracy, _scores = self.game.validate(4 * self.config.train.batch)
            if accuracy >= game.th1:
                return
            best, since = (accuracy, 0) if accuracy > best else (best, since + 1)
            if since >= PLATEAU:
                self._note(f"f_T stayed below th1 at {best:.2f}: plateau of {PLATEAU}")
                return
            self.game.target_step(with_filter=with_filter)
        self._note(f"f_T loop reached its cap of {game.cap_target} at {best:.2f}")

    def _budget_until_strong(self, indices: list[int], cap: int) -> tuple[float, int]:
        """Train budget models on the frozen f_D until th2 or `cap`; the weakest score, steps."""
        recent = [math.nan] * len(indices)
        for step in range(1, cap + 1):
            scores = self.game.budget_step(indices)
            recent = [self._smooth(old, new) for old, new in zip(recent, scores, strict=True)]
            for index, value in zip(indices, recent, strict=True):
                self.state.budget_scores[index] = value
            if step >= 5 and min(recent) >= self.config.game.th2:
                return min(recent), step
        self._note(f"a budget loop reached its cap of {cap} steps below th2")
        return min(recent), cap

    def _restart(self) -> None:
        game, state = self.config.game, self.state
        if game.restart == "all":
            chosen = list(range(self.game.ensemble))
        else:
            chosen = [state.next_restart % self.game.ensemble]
            state.next_restart += 1
        before = [_known(state.budget_scores[i]) for i in chosen]
        self.game.restart(chosen)
        weakest, steps = self._budget_until_strong(chosen, game.restart_cap)
        state.restarts.append(
            {
                "step": state.step, "models": chosen, "before": before,
                "after": [state.budget_scores[i] for i in chosen],
                "steps": steps, "reached": weakest >= game.th2,
            }
        )  # fmt: skip

    def _note(self, text: str) -> None:
        self.state.notes.append(f"{STAGES[self.state.stage]} step {self.state.step}: {text}")

    def _log(self, stage: str) -> None:
        if stage == "reconstruct":
            return
        state = self.state
        accuracy, budget = self.game.validate(8 * self.config.train.batch)
        self._count_seconds()
        state.rows.append(
            {
                "stage": stage,
                "step": first_steps(self.config)[stage] + state.step,
                "target_loss": _known(state.target_loss),
                "target_accuracy": accuracy,
                "gamma": state.gamma if stage == "game" else 0.0,
                "privacy_loss": state.privacy_loss,
                "budget_accuracy": budget,
                "budget_training": [_known(value) for value in state.budget_scores],
                "seconds": state.seconds,
            }
        )

    # ------------------------------------------------------------ the end

    def finish(self) -> Trained:
        accuracy, budget = self.game.validate()
        state = self.state
        weak = [r for r in state.restarts if not r["reached"]]
        notes = _summary(state.notes)
        if weak:
            notes.append(
                f"{len(weak)} of {len(state.restarts)} restarted budget models never reached th2"
            )
        trained = Trained(self.folder, accuracy, tuple(budget), state.seconds, tuple(notes))
        if self.fabric.global_rank == 0:
            write_run(self.game, state, trained)
        return trained


def _known(value: float) -> float | None:
    """None for what nothing was measured of yet; JSON has no NaN."""
    return None if math.isnan(value) else value


def _summary(notes: list[str]) -> list[str]:
    """Notes of one kind counted, as a long run repeats them."""
    kinds: dict[str, int] = {}
    for note in notes:
        kind = note.split(": ", 1)[1]
        kinds[kind] = kinds.get(kind, 0) + 1
    return [f"{kind} ({count} times)" if count > 1 else kind for kind, count in kinds.items()]
