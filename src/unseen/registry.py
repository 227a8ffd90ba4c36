"""A small, loud registry, and the `name:option` specification that the whole project uses.

A duplicate name raises, an unknown name lists the choices and the nearest of them.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from unseen.errors import ConfigError, UnknownNameError

T = TypeVar("T")


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that is closest to `name` in spelling, as ` (did you mean 'x'?)`, or nothing."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


@dataclass(frozen=True)
class Spec:
    """`name` or `name:option`, the way to name a thing with one option, as in `downsample:8`."""

    name: str
    option: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Split at the first colon."""
        name, _, option = text.strip().partition(":")
        return cls(name, option or None)

    def __str__(self) -> str:
        return self.name if self.option is None else f"{self.name}:{self.option}"

    def no_option(self) -> None:
        """Raise when there is an option where none can be used."""
        if self.option is not None:
            raise ConfigError(f"'{self.name}' takes no option, but '{self}' gives one")

    def integer(
        self, default: int | None = None, *, least: int = 1, most: float = float("inf")
    ) -> int:
        """The option as a whole number from `least` to `most`."""
        value = self.number(default, least=least, most=most)
        if value != int(value):
            raise ConfigError(f"'{self}': the option must be a whole number, as in '{self.name}:8'")
        return int(value)

    def number(
        self,
        default: float | None = None,
        *,
        least: float = 0.0,
        most: float = float("inf"),
        example: str = "8",
    ) -> float:
        """The option as a finite number from `least` to `most`; `example` is one, for messages."""
        if self.option is None:
            if default is None:
                raise ConfigError(f"'{self.name}' needs a number, as in '{self.name}:{example}'")
            return default
        try:
            value = float(self.option)
        except ValueError:
            raise ConfigError(
                f"'{self}': '{self.option}' is not a number; write e.g. '{self.name}:{example}'"
            ) from None
        if not least <= value < float("inf"):
            raise ConfigError(f"'{self}': the option must be at least {least:g}")
        if value > most:
            raise ConfigError(f"'{self}': the option must be at most {most:g}")
        return value


class Registry(Generic[T]):
    """Names and what they stand for; `kind` is the word used in messages."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> T:
        """Register `entry`; a name that is taken raises."""
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = entry
        return entry

    def register(self, name: str) -> Callable[[T], T]:
        """`add` as a decorator."""
        return lambda entry: self.add(name, entry)

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError(
                f"unknown {self.kind} '{name}'{nearest(name, self)}; choose from: {', '.join(self)}"
            ) from None

    def known(self, name: str, *others: str) -> str:
        """`name` itself, for a setting that holds one.

        Raises:
            ValueError: for a name that is neither registered nor among the `others`.
        """
        try:
            if name not in others:
                self[name]
        except UnknownNameError as error:
            raise ValueError(", ".join([str(error), *others])) from None
        return name

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)


def plain(build: Callable[[], T]) -> Callable[[Spec], T]:
    """A builder of something that has no option."""

    def builder(spec: Spec) -> T:
        spec.no_option()
        return build()

    return builder
