"""Errors of unseen: every one says what is wrong, where, and how to mend it.

The command line prints the message alone and exits with code 2; nothing of a traceback reaches
the user. Code that calls the library catches `UnseenError`.
"""

from collections.abc import Sequence


class UnseenError(Exception):
    """Base of every error that a user can mend."""


class ConfigError(UnseenError):
    """An option, a preset or an override that cannot be used."""


class UnknownNameError(UnseenError):
    """A name that a registry does not hold."""


class DataError(UnseenError):
    """Data that is missing, broken or inconsistent.

    Args:
        summary: one line that says what was read and how many faults it has.
        faults: every fault found, one line each.
    """

    def __init__(self, summary: str, faults: Sequence[str] = ()) -> None:
        self.summary = summary
        self.faults = tuple(faults)
        super().__init__("\n".join([summary, *(f"  - {fault}" for fault in self.faults)]))

    def __reduce__(self) -> tuple[type["DataError"], tuple[str, tuple[str, ...]]]:
        """Worker processes hand errors on by pickling, which knows of the whole text only."""
        return type(self), (self.summary, self.faults)


class VideoError(UnseenError):
    """A video that cannot be read or written."""


class WeightsError(UnseenError):
    """Weights that are missing, damaged or do not fit."""


class RunError(UnseenError):
    """A run directory that cannot be used as asked."""


class NoFacesError(UnseenError):
    """No face was found where there must be one; the command line exits with 3."""
