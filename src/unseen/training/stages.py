"""Stages of steps, one after another, with a checkpoint between any two: what every run does."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from unseen.progress import progress
from unseen.training.folder import CHECKPOINT


class Position(Protocol):
    """How far a run is: the number of its stage, steps made in that, and seconds taken in all."""

    stage: int
    step: int
    seconds: float


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
        folder: where checkpoints are written.
        log_every: steps between two entries of the account.
        checkpoint_every: seconds between checkpoints.
    """

    state: Position

    def __init__(self, folder: Path, log_every: int, checkpoint_every: float) -> None:
        self.folder = folder
        self._log_every, self._checkpoint_every = log_every, checkpoint_every
        self._saved_at = self._clock = time.monotonic()

    @abstractmethod
    def _prepare(self, stage: Stage) -> None:
        """Before each step: set step sizes."""

    @abstractmethod
    def _status(self) -> str:
        """How it goes, for the bar."""

    @abstractmethod
    def _log(self, stage: Stage) -> None:
        """Measure, and add to the account."""

    @abstractmethod
    def _write(self, path: Path) -> None:
        """Write everything that must be known to go on from here."""

    def _ended(self, stage: Stage) -> None:
        """After the last step of a stage that has any."""
        self._save(self.folder / CHECKPOINT)

    def _save(self, path: Path) -> None:
        self._count_seconds()
        self._write(path)
        self._saved_at = time.monotonic()

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.state.seconds += now - self._clock
        self._clock = now

    def _go_through(self, stages: Sequence[Stage]) -> None:
        """From where the state stands to the end of the last stage."""
        state = self.state
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
                    if state.step % self._log_every == 0 or state.step == stage.length:
                        self._log(stage)
                    if time.monotonic() - self._saved_at >= self._checkpoint_every:
                        self._save(self.folder / CHECKPOINT)
            state.stage += 1
            state.step = 0
            if stage.length:
                self._ended(stage)
        self._save(self.folder / CHECKPOINT)
