"""The trade-off plot (Wu18 Fig. 2): privacy leak across, target accuracy up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox, BboxBase, Transform

from unseen.report.canvas import FAINT, NARROW, Picture, metric_word, percent, percent_axis, picture
from unseen.report.entries import Entry

Point = tuple[float, float]


def tradeoff(entries: Sequence[Entry], codec: str | None) -> Picture:
    """Every result as a point with its 95% intervals; `codec` names where it was measured."""
    points = [
        f"{entry.label}: leak {percent(entry.part('privacy', codec is not None)['leak'])}, "
        f"target {percent(entry.part('target', codec is not None)['retrained_accuracy'])}"
        for entry in entries
    ]
    alt = "Trade-off of privacy leak and target accuracy. " + "; ".join(points)
    return picture(lambda width: _draw(entries, codec is not None, width), alt)


def _draw(entries: Sequence[Entry], codec: bool, width: float) -> Figure:
    narrow = width <= NARROW
    figure = Figure(figsize=(width, 4.4 if narrow else 5.4), layout="constrained")
    axes = figure.add_subplot()
    targets = [entry.part("target", codec) for entry in entries]
    leaks = [entry.part("privacy", codec) for entry in entries]
    lows = [target["interval"][0] for target in targets]
    floor = max(0.0, math.floor(10 * min(lows) - 0.5) / 10)
    axes.set_xlim(0.0, 1.04)
    axes.set_ylim(floor, 1.0 + 0.03 * (1.0 - floor))
    axes.set_xticks(np.arange(0.0, 1.01, 0.2 if narrow else 0.1))
    for which in ("x", "y"):
        percent_axis(axes, which)

    counts = sorted({len(leak["attackers"]) for leak in leaks})
    unseen = f"best of {' or '.join(map(str, counts))} unseen attackers"
    if any(leak.get("attacks") for leak in leaks):
        unseen += " and other attacks"
    axes.set_xlabel(
        f"privacy leak: {metric_word(leaks[0]['metric'])}, {unseen}"
        if not narrow
        else f"leak: {metric_word(leaks[0]['metric'])},\n{unseen}"
    )
    axes.set_ylabel(f"target {metric_word(targets[0]['metric'])} (retrained)")
    axes.text(0.0, 1.02, "↖ upper left is better", transform=axes.transAxes, weight="bold")
    axes.axvline(leaks[0]["chance"], color=FAINT, linestyle="--", linewidth=1)
    chance = axes.annotate(
        f"chance {percent(leaks[0]['chance'])}",
        (leaks[0]["chance"], 0.0), (3, 5), xycoords=("data", "axes fraction"),
        textcoords="offset points", rotation=90, color=FAINT, size=8,
    )  # fmt: skip
    for entry, target in zip(entries, targets, strict=True):
        if entry.raw:
            level = target["retrained_accuracy"]
            axes.axhline(level, color=FAINT, linestyle=":", linewidth=1.2)
            axes.annotate(
                f"{entry.label}\n{percent(level)}", (1.0, level), (3, 0),
                xycoords=("axes fraction", "data"), textcoords="offset points",
                va="center", color=entry.colour, size=8.5,
            )  # fmt: skip

    for entry, target, leak in zip(entries, targets, leaks, strict=True):
        x, y = leak["leak"], target["retrained_accuracy"]
        axes.plot(leak["interval"], (y, y), color=entry.colour, linewidth=0.9, alpha=0.65)
        axes.plot((x, x), target["interval"], color=entry.colour, linewidth=0.9, alpha=0.65)
        axes.plot(
            x, y, "*" if entry.learned else "o",
            color=entry.colour, markersize=15 if entry.learned else 7,
            markeredgecolor="white", markeredgewidth=0.8, zorder=3,
        )  # fmt: skip

    figure.dpi = 72  # the unit of the SVG writer, in which the labels are placed
    figure.draw_without_rendering()
    # The raw point has its name at the end of its line.
    labels = [
        axes.text(0, 0, "" if entry.raw else entry.label, size=8.5, color=entry.colour, zorder=4,
                  weight="bold" if entry.learned else "normal")
        for entry in entries
    ]  # fmt: skip
    where = axes.transData.transform(
        [
            (leak["leak"], target["retrained_accuracy"])
            for leak, target in zip(leaks, targets, strict=True)
        ]
    )
    bars = [
        box
        for leak, target in zip(leaks, targets, strict=True)
        for box in _bars(axes.transData, leak, target)
    ]
    sizes = [label.get_window_extent() for label in labels]
    placed = place_labels(
        [(float(x), float(y)) for x, y in where],
        [(size.width, size.height) for size in sizes],
        axes.get_window_extent(),
        bars,
        [chance.get_window_extent()],
    )
    to_data = axes.transData.inverted().transform
    for label, place in zip(labels, placed, strict=True):
        x, y = to_data((place.box.x0, place.box.y0))
        label.set_position((float(x), float(y)))
        label.set_verticalalignment("bottom")
        if place.leader is not None:
            start, end = to_data(place.leader)
            axes.plot(
                (start[0], end[0]), (start[1], end[1]),
                color=label.get_color(), linewidth=0.6, alpha=0.7, zorder=2,
            )  # fmt: skip
    return figure


def _bars(transform: Transform, leak: dict[str, Any], target: dict[str, Any]) -> list[Bbox]:
    """The two error bars of a point, in pixels."""
    x, y = leak["leak"], target["retrained_accuracy"]
    (x0, y0), (x1, y1) = transform.transform([(leak["interval"][0], y), (leak["interval"][1], y)])
    (x2, y2), (x3, y3) = transform.transform(
        [(x, target["interval"][0]), (x, target["interval"][1])]
    )
    return [Bbox.from_extents(x0, y0 - 1, x1, y1 + 1), Bbox.from_extents(x2 - 1, y2, x3 + 1, y3)]


@dataclass(frozen=True)
class Place:
    """Where a label stands: its box, and the line to its point where it stands far away."""

    box: Bbox
    leader: tuple[Point, Point] | None


def place_labels(
    points: Sequence[Point],
    sizes: Sequence[Point],
    frame: BboxBase,
    bars: Sequence[BboxBase] = (),
    taken: Sequence[BboxBase] = (),
    marker: float = 7.0,
) -> list[Place]:
    """Put a label beside each point so that labels cover neither each other nor the points.

    Each label tries directions and distances around its point; the cheapest is kept, and all are
    tried again twice, once every other label has its place.

    Args:
        points: the points, in pixels.
        sizes: width and height of each label, in pixels.
        frame: no label leaves it.
        bars: error bars, better not covered.
        taken: boxes that no label may cover.
        marker: half the side of a point's marker, in pixels.
    """
    markers = [Bbox.from_extents(x - marker, y - marker, x + marker, y + marker) for x, y in points]
    # The most crowded point chooses first.
    crowd = [sum(math.dist(one, other) < 60 for other in points) for one in points]
    order = sorted(range(len(points)), key=lambda index: -crowd[index])
    places: dict[int, Place] = {}
    for _ in range(3):
        for index in order:
            others = [place for at, place in places.items() if at != index]
            best = math.inf
            for place, distance in _candidates(points[index], sizes[index], marker):
                box = place.box
                outside = box.width * box.height - _overlap(box, frame)
                covered = sum(_overlap(box, each) for each in (*markers, *taken))
                covered += sum(1.5 * _overlap(box, other.box) for other in others)
                touched = sum(_overlap(box, bar) for bar in bars)
                cost = 100 * outside + 20 * covered + 2 * touched + distance
                if cost < best:  # crossings are slow to count
                    cost += 150 * _crossings(place, index, markers, others)
                if cost < best:
                    best, places[index] = cost, place
    return [places[index] for index in range(len(points))]


def _candidates(point: Point, size: Point, marker: float) -> list[tuple[Place, float]]:
    found = []
    for distance in (1.0, 8.0, 18.0, 30.0, 44.0, 60.0, 80.0, 105.0):
        for step in range(16):
            angle = step * math.pi / 8
            dx, dy = math.cos(angle), math.sin(angle)
            reach = marker + distance
            # The label's nearest edge, not its middle, stands at that distance.
            left = point[0] + dx * reach + (dx - 1) / 2 * size[0]
            bottom = point[1] + dy * reach + (dy - 1) / 2 * size[1]
            box = Bbox.from_bounds(left, bottom, *size)
            near = (
                min(max(point[0], box.x0), box.x1),
                min(max(point[1], box.y0), box.y1),
            )
            leader = (point, near) if distance > 8 else None
            found.append((Place(box, leader), distance))
    return found


def _crossings(place: Place, index: int, markers: Sequence[Bbox], others: Sequence[Place]) -> int:
    """How many markers and labels the leader runs through, and leaders through the label."""
    boxes = [box for at, box in enumerate(markers) if at != index] + [each.box for each in others]
    count = 0
    if place.leader is not None:
        count += sum(_meets(_along(place.leader), box) for box in boxes)
    for other in others:
        if other.leader is not None:
            count += _meets(_along(other.leader), place.box)
    return count


def _along(line: tuple[Point, Point]) -> npt.NDArray[np.float64]:
    return np.linspace(line[0], line[1], 12)


def _meets(points: npt.NDArray[np.float64], box: Bbox) -> bool:
    return bool(box.count_contains(points))


def _overlap(one: Bbox, other: BboxBase) -> float:
    """The area that two boxes share."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(width, 0.0) * max(height, 0.0))
