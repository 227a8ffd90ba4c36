"""The figures beside the trade-off: attackers, A_B^k, learning and training curves."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from unseen.report.canvas import (
    FAINT,
    HALF,
    INK,
    NARROW,
    Picture,
    metric_word,
    percent,
    percent_axis,
    picture,
)
from unseen.report.entries import Entry

FAMILY_COLOURS = (
    "#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626", "#0891b2", "#ca8a04", "#db2777",
    "#65a30d", "#64748b", "#1e3a8a", "#fb923c", "#34d399", "#c084fc", "#7f1d1d", "#67e8f9",
    "#713f12", "#f9a8d4", "#14532d", "#a3a3a3",
)  # fmt: skip


def family_colours(entries: Sequence[Entry]) -> dict[str, str]:
    """A colour for each family of attackers, the same in every figure of a report."""
    families = sorted(
        {each["family"] for entry in entries for each in entry.attackers(False).values()}
    )
    return {name: FAMILY_COLOURS[at % len(FAMILY_COLOURS)] for at, name in enumerate(families)}


def attacker_bars(entry: Entry, colours: dict[str, str]) -> Picture:
    """Test accuracy of every attacker, the strongest on top; a diamond: through the codec."""
    attackers = sorted(entry.attackers(False).values(), key=lambda each: each["accuracy"])
    figures = ", ".join(
        f"{each['name']} {percent(each['accuracy'])}" for each in reversed(attackers)
    )
    alt = f"Accuracy of each attacker on {entry.label}: {figures}"
    return picture(lambda width: _draw_bars(entry, attackers, colours, width), alt, HALF)


def _draw_bars(
    entry: Entry, attackers: list[dict[str, Any]], colours: dict[str, str], width: float
) -> Figure:
    present = sorted({each["family"] for each in attackers})
    columns = 3 if width > NARROW else 2
    more = max(0, math.ceil((len(present) + 2) / columns) - 4)  # rows of the legend
    height = 1.35 + 0.27 * len(attackers) + 0.2 * more
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    privacy = entry.part("privacy", False)
    after = entry.attackers(True)
    heights = range(len(attackers))
    axes.barh(
        heights,
        [each["accuracy"] for each in attackers],
        height=0.66,
        color=[colours[each["family"]] for each in attackers],
    )
    for at, each in enumerate(attackers):
        read_back = after.get(each["name"])
        text = percent(each["accuracy"])
        if read_back is not None:
            text += f" → {percent(read_back['accuracy'])}"
            axes.plot(
                read_back["accuracy"], at, "D", markersize=5, color="white",
                markeredgecolor=INK, markeredgewidth=1.1, zorder=4,
            )  # fmt: skip
        axes.annotate(
            text, (1.0, at), (0, 0), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", va="center", ha="right", size=8,
        )  # fmt: skip
    axes.axvline(privacy["chance"], color=INK, linestyle="--", linewidth=1)
    axes.set_yticks(heights, [each["name"] for each in attackers])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0.0, 1.6 if after else 1.25)
    axes.set_xticks(np.arange(0.0, 1.01, 0.25))
    axes.set_ylim(-0.6, len(attackers) - 0.4)
    percent_axis(axes, "x")
    axes.set_xlabel(f"test {metric_word(privacy['metric'])}")
    handles: list[Any] = [Patch(color=colours[name], label=name) for name in present]
    chance = f"chance {percent(privacy['chance'])}"
    handles.append(Line2D([], [], color=INK, linestyle="--", linewidth=1, label=chance))
    if after:
        label = f"after {entry.result['codec']['name']}"
        handles.append(
            Line2D(
                [], [], marker="D", markersize=5, color="white", markeredgecolor=INK, label=label
            )
        )
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns,
        columnspacing=1.2, handlelength=1.2,
    )  # fmt: skip
    return figure


def leak_by_n(entries: Sequence[Entry], codec: str | None) -> Picture:
    """A_B^k: the expected best of k attackers, for every result."""
    alt = "Expected best of k attackers. " + "; ".join(
        f"{entry.label}: {percent(values[0])} for one, {percent(values[-1])} for {len(values)}"
        for entry in entries
        for values in [entry.part("privacy", codec is not None)["leak_by_n"]]
    )
    return picture(lambda width: _draw_leak_by_n(entries, codec is not None, width), alt, HALF)


def _draw_leak_by_n(entries: Sequence[Entry], codec: bool, width: float) -> Figure:
    # Room for a line of text for every label.
    height = max(3.6, 1.0 + 0.175 * len(entries))
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    privacy = [entry.part("privacy", codec) for entry in entries]
    longest = max(len(each["leak_by_n"]) for each in privacy)
    top = 1.04
    for entry, each in zip(entries, privacy, strict=True):
        values = each["leak_by_n"]
        axes.plot(
            range(1, len(values) + 1), values, color=entry.colour, markersize=3, marker="o",
            linewidth=2.2 if entry.learned else 1.2,
        )  # fmt: skip
    chance = privacy[0]["chance"]
    axes.axhline(chance, color=FAINT, linestyle="--", linewidth=1)
    ends = [each["leak_by_n"][-1] for each in privacy]
    gap = top * 0.165 / (height - 0.7)
    for entry, end, level in zip(entries, ends, apart(ends, gap, 1.0), strict=True):
        last = len(entry.part("privacy", codec)["leak_by_n"])
        axes.annotate(
            entry.label, (last, end), (1.04, level), textcoords=axes.get_yaxis_transform(),
            va="center", size=8, color=entry.colour, annotation_clip=False,
            weight="bold" if entry.learned else "normal",
            arrowprops={"arrowstyle": "-", "color": entry.colour, "linewidth": 0.5,
                        "relpos": (0, 0.5),
                        "shrinkA": 1, "shrinkB": 3},
        )  # fmt: skip
    below = chance > 0.065  # no curve is there, but there must be room for the words
    axes.annotate(
        f"chance {percent(chance)}", (1, chance), (0, -2 if below else 3), color=FAINT, size=8,
        textcoords="offset points", va="top" if below else "baseline",
    )  # fmt: skip
    step = max(1, math.ceil(longest / 10))
    axes.set_xticks([1, *range(1 + step, longest + 1, step)] if longest > 1 else [1])
    axes.set_xlim(0.7, longest + 0.3)
    axes.set_ylim(0.0, top)
    percent_axis(axes, "y")
    axes.set_xlabel("attackers, k")
    axes.set_ylabel(f"expected best {metric_word(privacy[0]['metric'])} of k")
    return figure


def apart(values: Sequence[float], gap: float, top: float) -> list[float]:
    """`values`, moved as little as needed to lie `gap` apart and none above `top`."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    levels = [values[index] for index in order]
    for _ in range(200):
        for low, (one, other) in enumerate(pairwise(levels)):
            lack = gap - (other - one)
            if lack > 1e-9:
                levels[low] -= lack / 2
                levels[low + 1] += lack / 2
        levels = [min(level, top - gap * (len(levels) - 1 - at)) for at, level in enumerate(levels)]
    moved = dict(zip(order, levels, strict=True))
    return [moved[index] for index in range(len(values))]


def learning_curves(entry: Entry, colours: dict[str, str]) -> Picture:
    """Validation accuracy and training loss of each attacker and of the retrained target."""
    privacy, target = entry.part("privacy", False), entry.part("target", False)
    panels = [
        (each["name"], each, colours[each["family"]], privacy["chance"])
        for each in privacy["attackers"]
    ]
    panels.append((f"target: {target['model']}", target, INK, target["chance"]))
    stopped = sum(model["stopped"] == "plateau" for _, model, _, _ in panels)
    alt = (
        f"Learning curves of {len(privacy['attackers'])} attackers and the target model on "
        f"{entry.label}: {stopped} of {len(panels)} stopped on a plateau of validation accuracy"
    )
    return picture(lambda width: _draw_learning(panels, width), alt)


def _draw_learning(panels: list[tuple[str, dict[str, Any], str, float]], width: float) -> Figure:
    columns = 2 if width <= NARROW else 4
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(width, 0.5 + 1.35 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    losses = [row["train_loss"] or 0.0 for _, model, _, _ in panels for row in model["curve"]]
    top = 1.05 * max(losses, default=1.0) or 1.0
    # Attackers share a scale of their own: a good filter keeps them far below the target.
    reached = [row["validation"] or 0.0 for _, model, _, _ in panels[:-1] for row in model["curve"]]
    attackers_top = min(1.05, 1.2 * max([*reached, panels[0][3]]))
    for at, axes in enumerate(grid.flat):
        if at >= len(panels):
            axes.set_visible(False)
            continue
        name, model, colour, chance = panels[at]
        epochs = _column(model["curve"], "epoch")
        validation = _column(model["curve"], "validation")
        loss = axes.twinx()
        loss.plot(epochs, _column(model["curve"], "train_loss"), color="#9ca3af", linewidth=1)
        loss.set_ylim(0.0, top)
        loss.grid(visible=False)
        loss.set_yticks([])
        axes.set_zorder(loss.get_zorder() + 1)
        axes.patch.set_visible(False)
        axes.plot(epochs, validation, color=colour, linewidth=1.6)
        if np.isfinite(validation).any():
            best = int(np.nanargmax(validation))
            axes.plot(epochs[best], validation[best], "o", color=colour, markersize=4)
        axes.axhline(chance, color=FAINT, linestyle="--", linewidth=0.8)
        axes.set_ylim(0.0, attackers_top if at < len(panels) - 1 else 1.05)
        percent_axis(axes, "y")
        capped = model["stopped"] == "cap"
        axes.set_title(
            f"{name}, capped" if capped else name, fontsize=8.5, color="#b91c1c" if capped else INK
        )
    figure.supxlabel("epoch", fontsize=8.5)
    handles = [
        Line2D([], [], color=INK, linewidth=1.6, marker="o", markersize=4,
               label="validation (dot: the epoch kept)"),
        Line2D([], [], color="#9ca3af", linewidth=1, label=f"training loss, 0 to {top:.2g}"),
        Line2D([], [], color=FAINT, linewidth=0.8, linestyle="--", label="chance"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper left", ncols=1 if width <= NARROW else 3)
    return figure


def training_curves(entry: Entry) -> Picture | None:
    """The game over its steps, restarts marked; None where nothing of it was recorded."""
    training = entry.result["training"]
    if not training or not training["rows"]:
        return None
    restarts = training["restarts"]
    at = f" at steps {', '.join(f'{step:g}' for step in restarts)}" if restarts else ""
    alt = (
        f"Training of {entry.label} over {training['steps']} moves: accuracy of the target and the "
        f"budget models, losses, gamma; {len(restarts)} restarts{at}"
    )
    return picture(lambda width: _draw_training(entry, training, width), alt)


def _draw_training(entry: Entry, training: dict[str, Any], width: float) -> Figure:
    rows = training["rows"]
    steps = _column(rows, "step")
    panels = [("accuracy", True)]
    names = {name for row in rows for name, value in row.items() if value is not None}
    panels.append(("loss", bool(names & {"target_loss", "privacy_loss"})))
    panels.append(("gamma", "gamma" in names))
    shown = [name for name, present in panels if present]
    height = {"accuracy": 2.3, "loss": 1.6, "gamma": 1.2}
    figure = Figure(
        figsize=(width, 0.9 + sum(height[name] for name in shown)), layout="constrained"
    )
    grid = figure.subplots(
        len(shown), 1, sharex=True, squeeze=False, height_ratios=[height[name] for name in shown]
    )[:, 0]
    draw = {"accuracy": _accuracies, "loss": _losses, "gamma": _gamma}
    for axes, name in zip(grid, shown, strict=True):
        draw[name](axes, entry, rows, steps)
        for restart in training["restarts"]:
            axes.axvline(restart, color="#be123c", linewidth=0.9, alpha=0.6)
        for stage in entry.stages:
            axes.axvline(stage["step"], color=FAINT, linestyle=":", linewidth=1)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(
                loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3 if width > NARROW else 2,
                borderaxespad=0.1, handlelength=1.4, columnspacing=1.2,
            )  # fmt: skip
    for stage in entry.stages:
        grid[0].annotate(
            stage["name"], (stage["step"], 0.02), (3, 0), textcoords="offset points",
            xycoords=("data", "axes fraction"), rotation=90, size=7.5, color=FAINT, va="bottom",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
        )  # fmt: skip
    grid[-1].set_xlabel("step")
    return figure


def _accuracies(axes: Axes, entry: Entry, rows: list[dict[str, Any]], steps: Any) -> None:
    axes.plot(
        *_known(steps, _column(rows, "target_accuracy")), color=entry.colour, label="target model"
    )
    members = max((len(row.get("budget_accuracy") or []) for row in rows), default=0)
    blues = ("#1d4ed8", "#0891b2", "#6366f1", "#0f766e", "#475569")
    for member in range(members):
        values = [row.get("budget_accuracy") or [] for row in rows]
        column = np.array(
            [each[member] if member < len(each) else None for each in values], dtype=float
        )
        axes.plot(
            *_known(steps, column), color=blues[member % len(blues)], linewidth=1,
            label=f"budget model {member + 1}" if members <= 5 else None,
        )  # fmt: skip
    chance = entry.part("privacy", False)["chance"]
    axes.axhline(chance, color=FAINT, linestyle="--", linewidth=0.9, label="private chance")
    if entry.result["training"]["restarts"]:
        axes.plot([], [], color="#be123c", linewidth=0.9, label="restart")
    axes.set_ylim(0.0, 1.03)
    percent_axis(axes, "y")
    axes.set_ylabel("accuracy")


def _losses(axes: Axes, entry: Entry, rows: list[dict[str, Any]], steps: Any) -> None:
    for name, colour in (("target_loss", entry.colour), ("privacy_loss", "#1d4ed8")):
        x, y = _known(steps, _column(rows, name))
        if len(x):
            axes.plot(x, y, color=colour, linewidth=1.2, label=name.replace("_", " "))
    axes.set_ylabel("loss")


def _gamma(axes: Axes, entry: Entry, rows: list[dict[str, Any]], steps: Any) -> None:
    axes.plot(*_known(steps, _column(rows, "gamma")), color=INK, linewidth=1.2)
    axes.set_ylabel("gamma")
    axes.set_ylim(bottom=0.0)


def _column(rows: list[dict[str, Any]], name: str) -> Any:
    """One figure of every row, NaN where a row lacks it."""
    return np.array([row.get(name) for row in rows], dtype=float)


def _known(x: Any, y: Any) -> tuple[Any, Any]:
    """The pairs whose `y` is known: a figure that is not taken at every step is still a line."""
    known = np.isfinite(y)
    return x[known], y[known]
