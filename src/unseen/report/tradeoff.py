"""The trade-off plot (Wu18 Fig. 2): privacy leak across, target accuracy up."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from unseen.report.canvas import FAINT, NARROW, Picture, metric_word, percent, percent_axis, picture
from unseen.report.entries import Entry
from unseen.report.labels import label_points


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

    # The raw point has its name at the end of its line.
    labels = [
        ("" if entry.raw else entry.label,
         {"size": 8.5, "color": entry.colour, "zorder": 4,
          "weight": "bold" if entry.learned else "normal"})
        for entry in entries
    ]  # fmt: skip
    points, bars = [], []
    for target, leak in zip(targets, leaks, strict=True):
        x, y = leak["leak"], target["retrained_accuracy"]
        points.append((x, y))
        (left, right), (low, high) = leak["interval"], target["interval"]
        bars += [((left, y), (right, y)), ((x, low), (x, high))]
    label_points(axes, labels, points, bars, taken=[chance])
    return figure
