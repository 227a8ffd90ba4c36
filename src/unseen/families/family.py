"""A family of experiments: strategies by sizes, with and without restarting, and what they beat.

A family is what one figure of the papers shows. Its file, `NAME.json` beside this module, names
the preset that all of its runs start from, the lines of the figure, the values of M or K along
them, the handcrafted anonymizers, and the published points. It expands to members with stable
names, `NAME-LINE[-restart]-mM` (`sbu-entropy-restart-m4`, `sbu-k-beam-k2`) and `NAME-ANONYMIZER`
(`sbu-downsample-8`), which can be used wherever a preset can.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Literal

from pydantic import Field

from unseen.errors import ConfigError
from unseen.overrides import Section, packaged
from unseen.registry import nearest


class Line(Section):
    """A line of the figure: one strategy at several sizes.

    Attributes:
        about: its source: paper, section, algorithm, equation.
        strategy: the preset whose own changes make it this strategy; None: the family's preset is.
        size: `m`, an ensemble of M different budget models, or `k`, K sets of weights of one.
        values: of M or K.
        restarting: whether each is run with restarting too.
        set: what else differs from the family's settings.
    """

    about: str
    strategy: str | None = None
    size: Literal["m", "k"] = "m"
    values: tuple[int, ...] = Field(min_length=1)
    restarting: bool = True
    set: dict[str, Any] = Field(default_factory=dict)


class Published(Section):
    """Points that the papers publish.

    Attributes:
        source: where they stand.
        target: what A_T is.
        privacy: what A_B^N is.
        points: (A_T, A_B^N) in percent, by a member's name without the family's, by an
            anonymizer (`downsample:8`), or by other words where there is no such member.
    """

    source: str
    target: str
    privacy: str
    points: dict[str, tuple[float, float]]


class Family(Section):
    """What one figure shows.

    Attributes:
        name: before the names of all members.
        about: its source and its data.
        preset: where every run starts from.
        set: what differs from it.
        ensemble: budget models in the order in which an ensemble takes them; where M is greater
            than their number, from the beginning again.
        restart: what restarting changes.
        lines: by name.
        handcrafted: anonymizers without training.
        published: points of the papers, on the same data.
        like: the family whose published points are on other data, and shown beside.
    """

    name: str
    about: str
    preset: str
    set: dict[str, Any] = Field(default_factory=dict)
    ensemble: tuple[str, ...] = Field(min_length=1)
    restart: dict[str, Any]
    lines: dict[str, Line]
    handcrafted: tuple[str, ...]
    published: Published | None = None
    like: str | None = None

    def members(self) -> "Iterator[Member]":
        """All of them: handcrafted ones first, then line by line."""
        for anonymizer in self.handcrafted:
            yield Member(
                name=f"{self.name}-{anonymizer.replace(':', '-')}",
                family=self.name,
                about=f"{anonymizer}, measured as {self.name}-* are",
                anonymizer=anonymizer,
                preset=self.preset,
                changes=(self.set,),
            )
        for name, line in self.lines.items():
            for restarting in (False, True) if line.restarting else (False,):
                for value in line.values:
                    yield self._member(name, line, restarting, value)

    def _member(self, name: str, line: Line, restarting: bool, value: int) -> "Member":
        known = self.ensemble[:1] if line.size == "k" else self.ensemble
        budget = [known[i % len(known)] for i in range(value)]
        how = ", restarts" if restarting else ""
        return Member(
            name=f"{self.name}-{name}{'-restart' * restarting}-{line.size}{value}",
            family=self.name,
            about=f"{line.about}; {line.size.upper()} = {value}{how}",
            line=name,
            size=value,
            restarting=restarting,
            preset=self.preset,
            strategy=line.strategy,
            changes=(
                self.set, line.set, self.restart if restarting else {}, {"budget_models": budget},
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One run of a family, or one handcrafted anonymizer beside them.

    Attributes:
        name: as a preset's.
        family: whose member.
        about: its source and size.
        preset: where its settings start from.
        strategy: the preset whose own changes come next.
        changes: nested settings that come after, in order.
        line: of the figure; empty for a handcrafted anonymizer.
        size: M or K; 0 for a handcrafted anonymizer.
        restarting: whether budget models are restarted.
        anonymizer: the handcrafted one; None: to be trained.
    """

    name: str
    family: str
    about: str
    preset: str
    strategy: str | None = None
    changes: tuple[dict[str, Any], ...] = field(default=())
    line: str = ""
    size: int = 0
    restarting: bool = False
    anonymizer: str | None = None

    @property
    def key(self) -> str:
        """How published points call it."""
        return self.anonymizer or self.name.removeprefix(f"{self.family}-")

    def fits(self, run: Mapping[str, Any]) -> bool:
        """Whether the settings of a training, as JSON, are what the name says: M or K, restarts."""
        game = run["game"]
        restarting = bool(game["restart_every"] or game.get("restart_patience"))
        return (len(run["budget_models"]), restarting) == (self.size, self.restarting)


@cache
def families() -> dict[str, Family]:
    """Every family by name."""
    return {name: Family(name=name, **values) for name, values in packaged("families").items()}


@cache
def members() -> dict[str, Member]:
    """Every member of every family by name."""
    return {member.name: member for family in families().values() for member in family.members()}


def find_members(name: str) -> list[Member]:
    """What a name stands for: a member, or all whose names it begins or, with `*`, matches.

    `sbu` and `sbu-*` are the family, `sbu-entropy` one strategy, `sbu-*-m4` all with M = 4.
    """
    if name in members():
        return [members()[name]]
    pattern = name if "*" in name else f"{name}-*"
    return [member for each, member in members().items() if fnmatchcase(each, pattern)]


def unknown_preset(name: str, presets: list[str]) -> ConfigError:
    """The error for a name that is neither a preset nor a member."""
    from unseen.face_config import face_preset_names  # imports PyTorch

    if several := find_members(name):
        return ConfigError(
            f"'{name}' stands for {len(several)} presets, {several[0].name} to {several[-1].name}: "
            "name one (`unseen presets FAMILY` lists them), or run them all with `unseen sweep`"
        )
    faces = face_preset_names()
    if name in faces:
        return ConfigError(
            f"'{name}' is of a face modifier: `unseen train` takes it; measure what comes of it by "
            "`unseen verify-faces` and `unseen evaluate-actions`"
        )
    known = [*presets, *faces, *members()]
    return ConfigError(
        f"unknown preset '{name}'{nearest(name, known)}; choose from: {', '.join(presets)}, "
        f"of a face modifier {', '.join(faces)}, "
        f"or a member of {', '.join(f'{family}-*' for family in families())}"
    )
