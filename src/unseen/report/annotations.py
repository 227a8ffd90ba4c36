"""The figures of privacy annotations (Wang19 Fig. 5-7), and the files that hold them."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from unseen.data.pa_hmdb51_labels import ATTRIBUTES, Attribute
from unseen.data.statistics import AnnotationStatistics, AttributeStatistics
from unseen.files import write_json, write_text
from unseen.report.canvas import FAINT, INK, NARROW, Picture, percent, picture

_BAR = "#93c5fd"
# Its darkest colour still leaves the dark labels readable.
_HEAT = LinearSegmentedColormap.from_list("frames", ["#ffffff", "#dbeafe", "#60a5fa"])
_ROW = 0.185  # inches, a line of text


def action_distribution(statistics: AnnotationStatistics) -> Picture:
    """Videos of each action (Wang19 Fig. 5), the most frequent on top."""
    counts = statistics.action_distribution
    alt = f"Videos of each of {statistics.actions} actions: " + ", ".join(
        f"{_words(action)} {count}" for action, count in counts.items()
    )
    return picture(lambda width: _draw_actions(statistics, width), alt)


def _draw_actions(statistics: AnnotationStatistics, width: float) -> Figure:
    counts = list(statistics.action_distribution.items())
    columns = 1 if width <= NARROW else 2
    rows = -(-len(counts) // columns)
    figure = Figure(figsize=(width, 0.75 + _ROW * rows), layout="constrained")
    most = max((count for _, count in counts), default=1)
    for column, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
        part = counts[column * rows : (column + 1) * rows]
        _bars(axes, [count for _, count in part], [str(count) for _, count in part], most)
        axes.set_yticks(range(len(part)), [_words(action) for action, _ in part])
        axes.set_ylim(rows - 0.4, -0.6)
    figure.suptitle(
        f"Videos of each action\n{statistics.videos:,} videos, {statistics.actions} actions",
        x=0.01, ha="left", size=9.5, weight="bold",
    )  # fmt: skip
    return figure


def attribute_distribution(statistics: AnnotationStatistics) -> Picture:
    """Frames with each value of each attribute (Wang19 Fig. 6)."""
    alt = "Frames with each value, share of the labelled frames. " + "; ".join(
        f"{_words(name)}: "
        + ", ".join(
            f"{value} {text}" for value, text in zip(each.values, _texts(each), strict=True)
        )
        for name, each in statistics.attributes.items()
    )
    return picture(lambda width: _draw_attributes(statistics, width), alt)


def _draw_attributes(statistics: AnnotationStatistics, width: float) -> Figure:
    shown = statistics.attributes
    figure = Figure(
        figsize=(width, 0.7 + sum(0.42 + 0.24 * len(each.values) for each in shown.values())),
        layout="constrained",
    )
    grid = figure.subplots(
        len(shown), 1, squeeze=False,
        height_ratios=[0.42 + 0.24 * len(each.values) for each in shown.values()],
    )[:, 0]  # fmt: skip
    most = max((count for each in shown.values() for count in each.distribution.frames), default=1)
    for axes, (name, each) in zip(grid, shown.items(), strict=True):
        room = 2.4 if width <= NARROW else 1.3
        _bars(axes, each.distribution.frames, _texts(each), most, room)
        axes.set_yticks(range(len(each.values)), each.values)
        axes.set_title(
            f"{_words(name)}, {each.distribution.labelled:,} labelled",
            size=8.5 if width <= NARROW else 9.5,
        )
    figure.suptitle(
        "Frames with each value of each attribute\n"
        f"{statistics.frames:,} frames; shares of the labelled ones",
        x=0.01, ha="left", size=9.5, weight="bold",
    )  # fmt: skip
    return figure


def action_attribute_correlation(statistics: AnnotationStatistics) -> Picture:
    """Frames of each action with each value of each attribute (Wang19 Fig. 7)."""
    alt = (
        "Number of frames of each action with each value of each attribute. In most frames: "
        + "; ".join(
            f"{_words(name)} {value}: {_words(_leading(each, at))}"
            for name, each in statistics.attributes.items()
            for at, value in enumerate(each.values)
            if each.distribution.frames[at]
        )
    )
    return picture(lambda width: _draw_correlation(statistics, width), alt)


def _leading(each: AttributeStatistics, value: int) -> str:
    """The action with most frames of that value."""
    return max(each.by_action, key=lambda action: each.by_action[action].frames[value])


def _draw_correlation(statistics: AnnotationStatistics, width: float) -> Figure:
    narrow = width <= NARROW
    # A phone has room for half of the columns side by side.
    blocks = [ATTRIBUTES[:2], ATTRIBUTES[2:]] if narrow else [ATTRIBUTES]
    rows = max(statistics.actions, 1)
    figure = Figure(figsize=(width, 0.5 + len(blocks) * (1.9 + _ROW * rows)), layout="constrained")
    most = max(
        (
            count
            for each in statistics.attributes.values()
            for counts in each.by_action.values()
            for count in counts.frames
        ),
        default=1,
    )
    for block, part in zip(blocks, figure.subfigures(len(blocks), 1, squeeze=False), strict=True):
        shown = [statistics.attributes[name] for name in block]
        grid = part[0].subplots(
            1, len(block), sharey=True, squeeze=False,
            width_ratios=[len(each.values) for each in shown],
        )[0]  # fmt: skip
        for axes, name, each in zip(grid, block, shown, strict=True):
            _heat(axes, name, each, max(most, 1), narrow)
    figure.suptitle(
        "Frames of each action with each value\n"
        "colour: square root of the number",
        x=0.01, ha="left", size=9.5, weight="bold",
    )  # fmt: skip
    return figure


def _heat(axes: Axes, name: Attribute, each: AttributeStatistics, most: int, narrow: bool) -> None:
    cells = [counts.frames for counts in each.by_action.values()]
    # One action may have far more frames than the others: a linear scale would leave these blank.
    scale = PowerNorm(0.5, vmin=0, vmax=most)
    axes.pcolormesh(cells, cmap=_HEAT, norm=scale, edgecolors="white", linewidth=0.8)
    for row, counts in enumerate(cells):
        for column, count in enumerate(counts):
            axes.text(
                column + 0.5, row + 0.5, f"{count:,}", ha="center", va="center_baseline",
                size=7 if narrow else 7.5, color=INK if count else FAINT,
            )  # fmt: skip
    axes.set_ylim(len(cells), 0)
    # At one height in all panels, above two lines of a value's name on end.
    axes.set_title(
        _words(name), loc="center" if narrow else "left", size=7 if narrow else 9.5, y=1, pad=68
    )
    axes.set_xticks(
        [at + 0.5 for at in range(len(each.values))],
        [textwrap.fill(value, 13) for value in each.values],
        rotation=90, linespacing=1.0,
    )  # fmt: skip
    axes.set_yticks(
        [at + 0.5 for at in range(len(cells))], [_words(action) for action in each.by_action]
    )
    axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def write_statistics(statistics: AnnotationStatistics, out: Path) -> None:
    """Write numbers and figures of annotations into `out`.

    These are `statistics.json`, and `action-distribution.svg`, `attribute-distribution.svg` and
    `action-attribute-correlation.svg`, each with a `-narrow` one beside it for a phone's width.
    """
    figures = {
        "action-distribution": action_distribution(statistics),
        "attribute-distribution": attribute_distribution(statistics),
        "action-attribute-correlation": action_attribute_correlation(statistics),
    }
    write_json(out / "statistics.json", asdict(statistics))
    for name, drawn in figures.items():
        for suffix, svg in (("", drawn.wide), ("-narrow", drawn.narrow)):
            write_text(out / f"{name}{suffix}.svg", svg)


def _bars(
    axes: Axes, counts: Sequence[int], texts: Sequence[str], most: int, room: float = 1.1
) -> None:
    """Bars from top to bottom with their texts at the ends; `room` for these beyond `most`."""
    axes.barh(range(len(counts)), counts, height=0.72, color=_BAR)
    for at, (count, text) in enumerate(zip(counts, texts, strict=True)):
        axes.annotate(
            text, (count, at), (3, 0), textcoords="offset points", va="center", size=8.5
        )  # fmt: skip
    axes.set_xlim(0, room * max(most, 1))
    axes.set_ylim(len(counts) - 0.4, -0.6)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_bounds(-0.6, len(counts) - 0.4)


def _texts(each: AttributeStatistics) -> list[str]:
    counted = each.distribution
    return [
        f"{count:,} ({percent(share)})"
        for count, share in zip(counted.frames, counted.shares, strict=True)
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")
