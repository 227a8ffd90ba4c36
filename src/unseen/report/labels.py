"""Names beside the points of a figure, which cover neither each other nor the points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox, BboxBase

Point: TypeAlias = tuple[float, float]
# A text and how it looks, as matplotlib's `Text` takes it.
Label: TypeAlias = tuple[str, dict[str, Any]]


def label_points(
    axes: Axes,
    labels: Sequence[Label],
    points: Sequence[Point],
    bars: Sequence[tuple[Point, Point]],
    *,
    taken: Sequence[Artist] = (),
    marker: float = 7.0,
) -> None:
    """Put each label beside its point, with a line to it where it stands far away.

    Args:
        axes: with all else that is drawn in it.
        labels: text and looks.
        points: one each, in data coordinates.
        bars: error bars, from and to, better not covered.
        taken: what no label may cover.
        marker: half the side of a point's marker, in pixels.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.dpi = 72  # the unit of the SVG writer, in which labels are placed
    figure.draw_without_rendering()  # without them, as they stand nowhere yet
    texts = [axes.text(0, 0, text, **looks) for text, looks in labels]
    to_pixels, to_data = axes.transData.transform, axes.transData.inverted().transform
    sizes = [text.get_window_extent() for text in texts]
    places = place_labels(
        [(float(x), float(y)) for x, y in to_pixels(points)],
        [(size.width, size.height) for size in sizes],
        axes.get_window_extent(),
        [Bbox(to_pixels(bar)).padded(1) for bar in bars],
        [artist.get_window_extent() for artist in taken],
        marker,
    )
    for text, place in zip(texts, places, strict=True):
        x, y = to_data((place.box.x0, place.box.y0))
        text.set_position((float(x), float(y)))
        text.set_verticalalignment("bottom")
        if place.leader is not None:
            (x0, y0), (x1, y1) = to_data(place.leader)
            axes.plot(
                (x0, x1), (y0, y1), color=text.get_color(), linewidth=0.6, alpha=0.7, zorder=2
            )


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
