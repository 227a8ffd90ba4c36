"""A family's figure (Wu18 Fig. 2, 3; Wang19 Fig. 2-4, 8): measured beside published."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unseen.config import SEEDS
from unseen.errors import DataError
from unseen.evaluation.results import worst_privacy
from unseen.families.family import Family, Member, families, members
from unseen.files import write_text
from unseen.report.canvas import (
    FAINT,
    INK,
    NARROW,
    Picture,
    metric_word,
    percent,
    percent_axis,
    picture,
)
from unseen.report.entries import Entry, common_codec, read_entries, result_files
from unseen.training.folder import differing, flat

_COLOURS = {
    "grl": "#059669",
    "k-beam": "#1d4ed8",
    "entropy": "#c2410c",
    "uniform": "#7c3aed",
    "wu18": "#a16207",
}
_OTHER = "#db2777"
_HANDCRAFTED = "#475569"
_RAW = "#be185d"
_MARKERS = {"downsample": "o", "raw": "D", "mask-face": "s", "mask-body": "P"}
Interval = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A member of a family in the plane of leak and target; all figures are fractions.

    Attributes:
        key: the member's name without the family's, or the handcrafted anonymizer.
        line: of the figure; empty for a handcrafted anonymizer.
        size: M or K; the rate of a downsampling.
        restarting: whether budget models were restarted.
        leak, target: measured: the mean over seeds. The leak is the worst of pixels and codec. A_T
            is that of the f_T which was trained with the filter (Wang19 3.5); of a handcrafted
            anonymizer, of one that was trained behind it.
        leak_interval, target_interval: from the lowest to the highest end of the seeds' 95%
            intervals; None where there are none, as for published points.
        retrained, retrained_interval: A_T of a fresh f_T behind the filter, mean over seeds.
        seeds: how many were measured; 0 for published points.
    """

    key: str
    line: str
    size: int
    restarting: bool
    leak: float
    target: float
    leak_interval: Interval | None = None
    target_interval: Interval | None = None
    retrained: float | None = None
    retrained_interval: Interval | None = None
    seeds: int = 0


@dataclass(frozen=True)
class Drawn:
    """What is known of a family.

    Attributes:
        family: which.
        measured: points in the family's order.
        published: on the same data.
        like: a family on other data whose published points are shown beside, if there is one.
        beside: these points.
        metrics: of the target and of the leak (`accuracy`, `cmap`).
        chance: of the leak.
        attackers: how many, of the result that met most.
        attacks: whether a leak may be that of another attack than theirs.
        codec: through which every A_T was measured; None: the pixels.
    """

    family: Family
    measured: tuple[Point, ...]
    published: tuple[Point, ...]
    like: Family | None
    beside: tuple[Point, ...]
    metrics: tuple[str, str]
    chance: float
    attackers: int
    attacks: bool
    codec: str | None


def member_of(entry: Entry) -> Member | None:
    """The member that a result of a trained filter is one of: it was named as its preset, and what
    tells members apart was not changed.
    """
    training, run = entry.result["training"], entry.result["configuration"].get("run")
    member = members().get(training["preset"] or "") if training else None
    return member if member is None or not run or member.fits(run) else None


def family_of(entries: Sequence[Entry]) -> Family | None:
    """The family of which these results are, if they are several runs of one."""
    found = [member_of(entry) for entry in entries if entry.learned]
    names = {member.family for member in found if member}
    several = len({member.name for member in found if member}) > 1
    return families()[names.pop()] if several and len(names) == 1 and None not in found else None


def drawn_family(entries: Sequence[Entry], family: Family) -> Drawn:
    """The points of a family among these results, and the published ones."""
    codec = common_codec(entries)
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        member = member_of(entry)
        groups.setdefault(member.key if member else entry.result["name"], []).append(entry)
    order = {member.key: member for member in family.members()}
    keys = [key for key in order if key in groups] + [key for key in groups if key not in order]
    _refuse_unlike(groups)
    measured = tuple(_measured(key, groups[key], order.get(key), codec) for key in keys)
    like = families()[family.like] if family.like else None
    first = entries[0]
    privacy = first.part("privacy", codec is not None)
    return Drawn(
        family=family,
        measured=measured,
        published=_published(family),
        like=like,
        beside=_published(like) if like else (),
        metrics=(first.part("target", codec is not None)["metric"], privacy["metric"]),
        chance=privacy["chance"],
        attackers=max(len(entry.attackers(False)) for entry in entries),
        attacks=any(entry.result["privacy"].get("attacks") for entry in entries),
        codec=codec,
    )


def _refuse_unlike(groups: Mapping[str, Sequence[Entry]]) -> None:
    """Raise where several results of one member are not its seeds: its point is their mean."""
    faults = []
    for key, entries in groups.items():
        first, *others = [_settings(entry) for entry in entries]
        # Of older results, those settings that there were.
        found = [differing(first, other, first.keys() & other.keys()) for other in others]
        if names := sorted(set().union(*found) - {*SEEDS}):
            faults.append(f"{key}: they differ in {', '.join(names)}")
        again = [seed for seed, count in Counter(map(_seeds, entries)).items() if count > 1]
        if again:
            faults.append(f"{key}: more than one of seed {again[0][0]}")
    if faults:
        raise DataError("several results of one member must be of other seeds alone:", faults)


def _settings(entry: Entry) -> dict[str, Any]:
    """By their dotted names, and who attacked."""
    used = entry.result["configuration"]
    settings = dict(flat({**(used.get("run") or {}), "evaluation": used.get("evaluation") or {}}))
    settings["attackers"] = list(entry.attackers(False))
    settings["attacks"] = list(entry.attacks(False))
    return settings


def _seeds(entry: Entry) -> tuple[int, ...]:
    run = entry.result["configuration"].get("run")
    return (entry.result["seed"], *([run["train"]["seed"]] if run else ()))


def _measured(
    key: str, entries: Sequence[Entry], member: Member | None, codec: str | None
) -> Point:
    targets = [entry.part("target", codec is not None) for entry in entries]
    leaks = [worst_privacy(entry.result)[0] for entry in entries]
    fresh = [target["retrained_accuracy"] for target in targets]
    own = [target["accuracy"] for target in targets if target["accuracy"] is not None]
    of_fresh = [target["interval"] for target in targets]
    of_own = [target.get("own_interval") for target in targets]
    return Point(
        key=key,
        line=member.line if member else "",
        size=member.size if member and member.line else _rate(key),
        restarting=bool(member and member.restarting),
        leak=float(np.mean([leak["leak"] for leak in leaks])),
        target=float(np.mean(own or fresh)),
        leak_interval=_hull([leak["interval"] for leak in leaks]),
        target_interval=_hull(of_own if own else of_fresh),
        retrained=float(np.mean(fresh)) if own else None,
        retrained_interval=_hull(of_fresh) if own else None,
        seeds=len(entries),
    )


def _hull(intervals: Sequence[Sequence[float] | None]) -> Interval | None:
    """From the lowest end to the highest; None where one is not known."""
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(intervals):
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def _rate(key: str) -> int:
    _, _, option = key.partition(":")
    return int(option) if option.isdigit() else 0


def _published(family: Family) -> tuple[Point, ...]:
    """The published points of a family, in its order."""
    if family.published is None:
        return ()
    known = {member.key: member for member in family.members()}
    points = []
    for key, (target, leak) in family.published.points.items():
        member = known.get(key)
        points.append(
            Point(
                key=key,
                line=member.line if member else "",
                size=member.size if member and member.line else _rate(key),
                restarting=bool(member and member.restarting),
                leak=leak / 100,
                target=target / 100,
            )
        )
    return tuple(points)


def family_figure(drawn: Drawn) -> Picture:
    """The family in the plane: leak across, target up; hollow: as published."""
    names = [
        f"{point.key}: leak {percent(point.leak)}, target {percent(point.target)}"
        for point in drawn.measured
    ]
    alt = f"Trade-off of {drawn.family.name}, measured. " + "; ".join(names)
    return picture(lambda width: _draw(drawn, width), alt)


def _draw(drawn: Drawn, width: float) -> Figure:
    narrow = width <= NARROW
    panels = 2 if drawn.like else 1
    across = 1 if narrow else panels
    height = (4.6 if narrow else 5.0) * (panels if narrow else 1) + 0.8
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(panels // across, across, squeeze=False).ravel()
    target, leak = map(metric_word, drawn.metrics)
    _panel(grid[0], drawn.measured, drawn.published)
    best = f"best of {drawn.attackers} unseen attackers"
    best += " and other attacks" if drawn.attacks else ""
    grid[0].set_xlabel(f"privacy leak: {leak}, {best}" if not narrow else f"leak: {leak},\n{best}")
    grid[0].set_ylabel(f"target {target}")
    grid[0].set_xlim(left=max(0.0, min(grid[0].get_xlim()[0], drawn.chance - 0.03)))
    grid[0].axvline(drawn.chance, color=FAINT, linestyle="--", linewidth=1)
    grid[0].annotate(
        f"chance {percent(drawn.chance)}", (drawn.chance, 0.0), (3, 5), rotation=90, color=FAINT,
        xycoords=("data", "axes fraction"), textcoords="offset points", size=8,
    )  # fmt: skip
    grid[0].set_title(f"{drawn.family.name}, measured" if panels > 1 else drawn.family.name)
    if drawn.like and drawn.like.published:
        _panel(grid[1], (), drawn.beside)
        grid[1].set_title(f"{drawn.like.name}, as published (other data)")
        grid[1].set_xlabel(drawn.like.published.privacy)
        grid[1].set_ylabel(drawn.like.published.target)
    figure.legend(
        handles=_legend(drawn), loc="outside upper left", ncols=2 if narrow else 6,
        handlelength=1.6, columnspacing=1.4,
    )  # fmt: skip
    return figure


def _panel(axes: Axes, measured: Sequence[Point], published: Sequence[Point]) -> None:
    for points, prefix in ((published, "published"), (measured, "measured")):
        lines: dict[tuple[str, bool], list[Point]] = {}
        for point in points:
            lines.setdefault((point.line or _kind(point), point.restarting), []).append(point)
        for (name, restarting), line in lines.items():
            colour = _colour(line[0])
            if len(line) > 1:
                axes.plot(
                    [point.leak for point in line], [point.target for point in line],
                    color=colour, linewidth=1.1, alpha=0.55, zorder=2,
                    linestyle="-" if restarting or name == "downsample" else "--",
                )  # fmt: skip
            for point in line:
                _mark(axes, point, colour, prefix)
    every = [*measured, *published]
    raw = next((point for point in every if point.key == "raw"), None)
    if raw is not None:
        axes.axhline(raw.target, color=_RAW, linestyle=":", linewidth=1.2)
    lows = [point.target_interval[0] if point.target_interval else point.target for point in every]
    ends = [point.leak_interval or (point.leak, point.leak) for point in every]
    left, right = min(low for low, _ in ends), max(high for _, high in ends)
    axes.set_xlim(max(0.0, left - 0.08), min(1.04, right + 0.06))
    axes.set_ylim(max(0.0, min(lows) - 0.06), 1.02)
    axes.margins(0.05)
    for which in ("x", "y"):
        percent_axis(axes, which)


def _mark(axes: Axes, point: Point, colour: str, prefix: str) -> None:
    """The point with its intervals and its M, K or rate; its id names it."""
    for interval, xs, ys in (
        (point.leak_interval, point.leak_interval, (point.target, point.target)),
        (point.target_interval, (point.leak, point.leak), point.target_interval),
    ):
        if interval is not None and xs is not None and ys is not None:
            axes.plot(xs, ys, color=colour, linewidth=0.8, alpha=0.6, zorder=2)
    size = 6 + 2.2 * np.log2(1 + point.size) if point.line else 6 + 0.6 * np.log2(1 + point.size)
    (marker,) = axes.plot(
        point.leak, point.target, _marker(point), color=colour,
        markersize=size * (1.3 if point.restarting else 1.0),
        markerfacecolor="white" if prefix == "published" else colour,
        markeredgecolor=colour if prefix == "published" else "white",
        markeredgewidth=1.2 if prefix == "published" else 0.7,
        zorder=3 if prefix == "published" else 4,
    )  # fmt: skip
    marker.set_gid(f"{prefix}:{point.key}")
    text = str(point.size) if point.line else f"{point.size}×" if point.size else ""
    if text:
        axes.annotate(
            text, (point.leak, point.target), (4, 4), textcoords="offset points",
            size=7, color=colour, zorder=5,
        )  # fmt: skip


def _kind(point: Point) -> str:
    """The family of a handcrafted anonymizer: one line for all rates of downsampling."""
    name, _, option = point.key.partition(":")
    return name if option.isdigit() else point.key


def _colour(point: Point) -> str:
    return _COLOURS.get(point.line, _OTHER) if point.line else _HANDCRAFTED


def _marker(point: Point) -> str:
    if point.line:
        return "*" if point.restarting else "o"
    return _MARKERS.get(_kind(point), "X")


def _legend(drawn: Drawn) -> list[Line2D]:
    every = [*drawn.measured, *drawn.published, *drawn.beside]
    shown: dict[tuple[str, bool], Point] = {}
    for point in every:
        shown.setdefault((point.line or _kind(point), point.restarting), point)
    handles = [
        Line2D(
            [], [], color=_colour(point), marker=_marker(point), markersize=8,
            linestyle="-" if restarting or name == "downsample" else "--" if point.line else "",
            label=f"{name}{' + restarting' if restarting else ''}",
        )
        for (name, restarting), point in shown.items()
    ]  # fmt: skip
    if any(point.key == "raw" for point in every):
        handles.append(Line2D([], [], color=_RAW, linestyle=":", label="target on raw video"))
    if drawn.published or drawn.beside:
        handles.append(
            Line2D([], [], marker="o", linestyle="", markerfacecolor="white",
                   markeredgecolor=INK, markersize=7, label="hollow: published")
        )  # fmt: skip
    return handles


def read_family(results: Sequence[Path]) -> Drawn:
    """The family of which these results are: by the names of files in a sweep, where one run or
    none but handcrafted anonymizers are enough, or by what several trained runs say.

    Raises:
        DataError: they are not several runs of one family, or cannot be read.
    """
    entries = read_entries(results)
    names = {path.stem.rpartition("-seed")[0] for path in result_files(results)}
    of_sweep = {member.family for name in names if (member := members().get(name))}
    family = families()[of_sweep.pop()] if len(of_sweep) == 1 else family_of(entries)
    if family is None:
        raise DataError(
            "these are not results of several runs of one family (`unseen sweep`); "
            "write a page of them instead: -o report.html"
        )
    others = [entry.label for entry in entries if entry.learned and not member_of(entry)]
    if others:
        raise DataError(
            f"{', '.join(others)}: trained by other settings than members have; leave out"
        )
    return drawn_family(entries, family)


def write_figure(results: Sequence[Path], out: Path) -> None:
    """Write a family's figure as SVG.

    Args:
        results: of its members, or the folder of a sweep.
        out: the figure, written whole or not at all.
    """
    write_text(out, family_figure(read_family(results)).wide)
