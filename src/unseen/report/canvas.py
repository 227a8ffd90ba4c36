"""The drawing surface of all figures: one style, the same SVG bytes for the same input."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDE = 10.33
HALF = 4.9
NARROW = 3.75
INK, FAINT, GRID = "#1f2937", "#6b7280", "#e5e7eb"

_STYLE: Any = {
    # Text becomes outlines: the page looks the same whichever fonts a reader has.
    "svg.fonttype": "path",
    "svg.hashsalt": "unseen",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9ca3af",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Picture:
    """A figure drawn for desktop and for phone width (SVG), and the words for who cannot see it."""

    wide: str
    narrow: str
    alt: str


@contextmanager
def style() -> Iterator[None]:
    """Draw in the report's style."""
    with matplotlib.rc_context(_STYLE):
        yield


def picture(draw: Callable[[float], Figure], alt: str, width: float = WIDE) -> Picture:
    """Call `draw` with each width in inches and keep what it returns as SVG."""
    with style():
        return Picture(_svg(draw(width)), _svg(draw(NARROW)), alt)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _stable_ids(buffer.getvalue())


def _stable_ids(svg: str) -> str:
    """Number the ids that Matplotlib hashes, in their order of appearance.

    They hash unrounded coordinates, whose last bits are not the same in every run.
    """
    order: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return match[1] + order.setdefault(match[2], f"i{len(order)}")

    return re.sub(r'(id="|href="#|url\(#)([a-zA-Z][0-9a-f]{10})\b', number, svg)


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def percent_axis(axes: Axes, which: str) -> None:
    """Label the ticks of axis `which` (`x` or `y`), whose values are fractions, in percent."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(lambda value, _: f"{round(100 * value, 6):g}%")


def metric_word(metric: str) -> str:
    """The name of a result file's metric as it is read aloud."""
    return {"accuracy": "accuracy", "cmap": "cMAP"}[metric]
