"""What a person adds to the detector's work: boxes to cover, and regions to leave alone."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from unseen.errors import ConfigError, DataError
from unseen.faces.places import Box

_COLUMNS = ("start", "end", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class ManualBox:
    """A box that is covered in frames `start` to `end`, without it (None: to the last).

    Attributes:
        box: x0, y0, x1, y1 in pixels of the upright video.
        start: counted from 0.
        end: the frame after the last.

    Raises:
        ConfigError: it holds no pixel.
    """

    box: tuple[float, float, float, float]
    start: int = 0
    end: int | None = None

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        if not (math.isfinite(x0 + y0 + x1 + y1) and x0 < x1 and y0 < y1):
            raise ConfigError(f"the box {self.box} is none: give x0 < x1 and y0 < y1 in pixels")

    def covers(self, frame: int) -> bool:
        """Whether the box counts in this frame."""
        return self.start <= frame and (self.end is None or frame < self.end)

    def touches(self, frames: int, width: int, height: int) -> bool:
        """Whether any pixel of a video of so many frames lies in it."""
        x0, y0, x1, y1 = self.box
        return self.start < frames and x0 < width and y0 < height and x1 > 0 and y1 > 0


@dataclass(frozen=True)
class Excluded:
    """A region, in pixels of the upright video, in which faces are left as they are."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def parse(cls, text: str) -> "Excluded":
        """`X,Y,W,H`.

        Raises:
            ConfigError: anything else.
        """
        try:
            x, y, width, height = (float(part) for part in text.split(","))
        except ValueError:
            x = y = width = height = math.nan
        if not (math.isfinite(x + y) and 0 < width < math.inf and 0 < height < math.inf):
            raise ConfigError(f"'{text}' is no region: write X,Y,W,H in pixels, as in 40,0,120,90")
        return cls(x, y, width, height)

    def holds(self, box: Box) -> bool:
        """Whether the centre of a box lies in the region."""
        across, down = (box[0] + box[2]) / 2 - self.x, (box[1] + box[3]) / 2 - self.y
        return bool(0 <= across < self.width and 0 <= down < self.height)


def read_boxes(path: Path) -> tuple[ManualBox, ...]:
    """Boxes from a CSV file with the columns `start,end,x0,y0,x1,y1`.

    Frames are `[start, end)`, counted from 0, as in a manifest; blank: from the first, to the last.

    Raises:
        DataError: the file cannot be read; with every row that is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the boxes '{path}': {error}") from error
    header = [cell.strip() for cell in rows[0]] if rows else []
    if sorted(header) != sorted(_COLUMNS):
        raise DataError(
            f"the boxes '{path}' must begin with the line '{','.join(_COLUMNS)}', not "
            f"'{','.join(header)}'"
        )
    boxes, faults = [], []
    for line, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            boxes.append(_box(dict(zip(header, (cell.strip() for cell in row), strict=True))))
        except ValueError:
            faults.append(
                f"line {line}: '{','.join(row)}' is no box; it needs six cells, whole numbers "
                "with 0 <= start < end for frames, and x0 < x1, y0 < y1"
            )
    if faults:
        raise DataError(f"the boxes '{path}' have {len(faults)} faults:", faults)
    return tuple(boxes)


def _box(cells: dict[str, str]) -> ManualBox:
    """One row; `ValueError` where it is none."""
    start, end = int(cells["start"] or 0), int(cells["end"]) if cells["end"] else None
    x0, y0, x1, y1 = (float(cells[name]) for name in ("x0", "y0", "x1", "y1"))
    if start < 0 or (end is not None and end <= start):
        raise ValueError
    if not (math.isfinite(x0 + y0 + x1 + y1) and x0 < x1 and y0 < y1):
        raise ValueError
    return ManualBox((x0, y0, x1, y1), start, end)
