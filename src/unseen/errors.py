"""Errors of unseen: every one says what is wrong, where, and how to mend it.

The command line prints the message alone and exits with code 2; nothing of a traceback reaches
the user. Code that calls the library catches `UnseenError`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class UnseenError(Exception):
    """Base of every error that a user can mend.

    Args:
        summary: one line that says what is wrong, or what was read and how many faults it has.
        faults: every fault found, one line each.
    """

    def __init__(self, summary: str, faults: Sequence[str] = ()) -> None:
        self.summary = summary
        self.faults = tuple(faults)
        super().__init__("\n".join([summary, *(f"  - {fault}" for fault in self.faults)]))

    def __reduce__(self) -> tuple[type["UnseenError"], tuple[str, tuple[str, ...]]]:
        """Worker processes hand errors on by pickling, which knows of the whole text only."""
        return type(self), (self.summary, self.faults)


class ConfigError(UnseenError):
    """An option, a preset or an override that cannot be used."""


class UnknownNameError(UnseenError):
    """A name that a registry does not hold."""


class DataError(UnseenError):
    """Data that is missing, broken or inconsistent."""


class VideoError(UnseenError):
    """A video that cannot be read or written."""


class WeightsError(UnseenError):
    """Weights that are missing, damaged or do not fit."""


class RunError(UnseenError):
    """A run directory that cannot be used as asked."""


class NoFacesError(UnseenError):
    """No face was found where there must be one; the command line exits with 3."""


def nothing_loaded(what: str, faults: Iterable[str]) -> DataError:
    """The error of data that cannot be loaded, with every fault."""
    listed = list(faults)
    count = "1 fault" if len(listed) == 1 else f"{len(listed)} faults"
    return DataError(f"{what} has {count}; nothing was loaded", listed)


class Faults:
    """Collects errors of steps that do not need each other, so that one message tells them all."""

    def __init__(self) -> None:
        self.errors: list[UnseenError] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep an error of the block for later."""
        try:
            yield
        except UnseenError as error:
            self.errors.append(error)

    def refuse(self, summary: str, kind: type[UnseenError] = DataError) -> None:
        """Raise what was collected: the only error as it is, several as one that says them all.

        Args:
            summary: the first line where there are several.
            kind: of the error where there are several.
        """
        # An error with faults of its own keeps them below its first line.
        faults = list(dict.fromkeys(str(error).replace("\n", "\n  ") for error in self.errors))
        if len(self.errors) == 1 or len(faults) == 1:
            raise self.errors[0]
        if faults:
            raise kind(summary, faults)


def together(kind: type[UnseenError], summary: str, calls: Iterable[Callable[[], T]]) -> list[T]:
    """What several calls return; where some of them fail, all that is wrong is told at once.

    Args:
        kind: of the error where several fail.
        summary: its first line.
        calls: none of them needs what another one does.

    Raises:
        UnseenError: the only one there was, as it is; of several, one with all that they say.
    """
    done: list[T] = []
    faults = Faults()
    for call in calls:
        with faults.collected():
            done.append(call())
    faults.refuse(summary, kind)
    return done
