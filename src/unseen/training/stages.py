"""Stages of steps, one after another, with a checkpoint between any two: what every run does."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import nn

from unseen.config import RunConfig
from unseen.errors import RunError
from unseen.face_config import FaceRunConfig
from unseen.files import read_json, write_json
from unseen.progress import progress
from unseen.training import checkpoint
from unseen.training.folder import CHECKPOINT, CONFIG_FILE


class Position(Protocol):
    """How far a run is: the number of its stage, steps made in that, moves made in all, and seconds
    taken. A dataclass of what JSON can hold; a run may keep more in it.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    stage: int
    step: int
    moves: int
    seconds: float


@runtime_checkable
class Playing(Protocol):
    """A game whose state is its networks, their optimisers and how many moves it has made."""

    moves: int

    def modules(self) -> dict[str, nn.Module]:
        """All networks by name."""

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """All optimisers by name."""


@dataclass(frozen=True)
class Stage:
    """So many steps of one kind.

    Attributes:
        name: for progress and the account.
        length: how many steps.
        move: makes one.
    """

    name: str
    length: int
    move: Callable[[], None]


class StagedRun(ABC):
    """A run that goes through stages, and can go on from any step.

    Args:
        config: its settings.
        folder: where they and checkpoints are written.
        players: the game.
        fabric: its processes; the first one writes.
        learned: what it learns from, by a word for it: to be the same when it goes on.
    """

    state: Position

    def __init__(
        self,
        config: RunConfig | FaceRunConfig,
        folder: Path,
        players: Playing,
        fabric: Fabric,
        learned: Mapping[str, Any],
    ) -> None:
        self._settings, self.folder, self.fabric = config, folder, fabric
        self._players, self._learned = players, dict(learned)
        self._saved_at = self._clock = time.monotonic()

    def open(self, resume: bool) -> None:
        """Begin in a new folder, or go on from the last checkpoint in it.

        Raises:
            RunError: it learned from something else, and its folder stays as it is.
        """
        path = self.folder / CHECKPOINT
        if resume and path.exists():
            self._go_on(path)
        settings, file = self._settings.model_dump(mode="json"), self.folder / CONFIG_FILE
        # Where it goes on, on another machine or to be measured otherwise, they may be others.
        if not resume or settings != read_json(file):
            # All processes have looked before the first one writes.
            self.fabric.barrier()
            if self.fabric.global_rank == 0:
                write_json(file, settings)

    def _go_on(self, path: Path) -> None:
        """From a checkpoint."""
        loaded = checkpoint.load(path)
        for word, value in self._learned.items():
            if loaded.progress.get(word, value) != value:
                raise RunError(
                    f"{self.folder} was trained on other {word}; resume it with the same"
                )
        try:
            self._use(loaded.progress["state"])
            self._players.moves = self.state.moves
            checkpoint.unpack(loaded, self._players.modules(), self._players.optimizers())
        except torch.OutOfMemoryError:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{path} is not of a run with these settings; start the run anew"
            ) from error

    @abstractmethod
    def _use(self, state: Mapping[str, Any]) -> None:
        """Go on from this state: `asdict` of an earlier one, or nothing of it."""

    @abstractmethod
    def _prepare(self, stage: Stage) -> None:
        """Before each step: set step sizes."""

    @abstractmethod
    def _status(self) -> str:
        """How it goes, for the bar."""

    @abstractmethod
    def _log(self, stage: Stage) -> None:
        """Measure, and add to the account."""

    def _ended(self, stage: Stage) -> None:
        """After the last step of a stage that has any."""
        self._save(self.folder / CHECKPOINT)

    def _save(self, path: Path) -> None:
        """Write everything that must be known to go on from here."""
        self._count_seconds()
        self.state.moves = self._players.moves
        if self.fabric.global_rank == 0:
            tensors = checkpoint.pack(self._players.modules(), self._players.optimizers())
            note = {"state": asdict(self.state), **self._learned}
            checkpoint.save(path, checkpoint.Checkpoint(tensors, note))
        self._saved_at = time.monotonic()

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.state.seconds += now - self._clock
        self._clock = now

    def _go_through(self, stages: Sequence[Stage]) -> None:
        """From where the state stands to the end of the last stage."""
        state, train = self.state, self._settings.train
        self._clock = time.monotonic()
        while state.stage < len(stages):
            stage = stages[state.stage]
            with progress(stage.length, stage.name, "step", start=state.step) as bar:
                while state.step < stage.length:
                    self._prepare(stage)
                    stage.move()
                    state.step += 1
                    bar.update(1)
                    bar.set_postfix_str(self._status(), refresh=False)
                    if state.step % train.log_every == 0 or state.step == stage.length:
                        self._log(stage)
                    if time.monotonic() - self._saved_at >= train.checkpoint_every:
                        self._save(self.folder / CHECKPOINT)
            state.stage += 1
            state.step = 0
            if stage.length:
                self._ended(stage)
        self._save(self.folder / CHECKPOINT)
