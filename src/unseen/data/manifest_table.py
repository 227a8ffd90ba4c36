"""The text of a CSV manifest: columns, rows, and the faults found in them, with their lines."""

import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unseen.data.decode import ClipRange
from unseen.errors import DataError
from unseen.registry import nearest

_BOX = ("x0", "y0", "x1", "y1")
RESERVED = ("path", "split", "start", "end", *_BOX)
_WHOLE = re.compile("[0-9]{1,9}")


class RowFaults:
    """Messages, each with the lines of the manifest that it is about, in order of first sight."""

    def __init__(self) -> None:
        self._found: list[tuple[str, tuple[int, ...]]] = []

    def add(self, message: str, *lines: int) -> None:
        """One occurrence; equal messages are listed as one, with all their lines."""
        self._found.append((message, lines))

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[str]:
        grouped: defaultdict[str, list[int]] = defaultdict(list)
        for message, lines in self._found:
            grouped[message].extend(lines)
        for message, where in grouped.items():
            yield f"{_line_list(where)}: {message}" if where else message


@dataclass(frozen=True)
class Row:
    """One line of a manifest, or one item of a published data set.

    A row whose frames are at fault stands for its whole video.
    Rows of one `group` were cut from one recording, in whatever files they are.
    """

    line: int
    values: Mapping[str, str]
    clip: ClipRange | None
    broken: bool
    group: str | None = None


def read_table(path: Path, faults: RowFaults) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Header and rows with their line numbers; what cannot be read as a table raises at once."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read the manifest '{path}': {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"the manifest '{path}' is not UTF-8 text (line {line}): save it as CSV UTF-8"
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[tuple[int, list[str]]] = []
    try:
        for record in reader:
            cells = [cell.strip() for cell in record]
            if any(cells):
                records.append((reader.line_num, cells))
    except csv.Error as error:
        raise DataError(
            f"the manifest '{path}' is not CSV (line {reader.line_num}): {error}"
        ) from None
    if not records:
        raise DataError(f"the manifest '{path}' is empty: its first line must name the columns")
    header = records[0][1]
    for name, count in Counter(header).items():
        if name and count > 1:
            faults.add(f"{count} columns are called '{name}': rename all but one")
    table: list[tuple[int, dict[str, str]]] = []
    for line, cells in records[1:]:
        if len(cells) != len(header):
            faults.add(f"{len(cells)} cells, but the header has {len(header)}", line)
        padded = [*cells, *[""] * len(header)]
        # Reversed, so that of two columns of one name the first counts.
        table.append((line, dict(reversed(list(zip(header, padded, strict=False))))))
    return header, table


def label_columns(header: Sequence[str]) -> list[str]:
    """The columns that may be labels."""
    return [name for name in header if name and name not in RESERVED]


def header_faults(
    header: Sequence[str], target: str | None, private: Sequence[str] | None, faults: RowFaults
) -> None:
    """Columns that are missing, unknown or chosen twice."""
    labels = label_columns(header)
    if "path" not in header:
        faults.add(f"there is no column 'path'; the first line names: {', '.join(header)}")
    missing = [name for name in _BOX if name not in header]
    if 0 < len(missing) < len(_BOX):
        faults.add(f"a crop box needs the columns {', '.join(_BOX)}; missing: {', '.join(missing)}")
    if private is not None and not private:
        faults.add("no private column was chosen")
    chosen = [*([] if target is None else [target]), *(private or ())]
    for name, count in Counter(chosen).items():
        if name not in labels:
            choices = ", ".join(labels) or "none"
            faults.add(
                f"there is no label column '{name}'{nearest(name, labels)}; there are: {choices}"
            )
        elif count > 1:
            faults.add(f"column '{name}' is chosen {count} times, as target or private")


def parse_row(line: int, values: Mapping[str, str], folder: Path, faults: RowFaults) -> Row:
    """The clip that a row asks for."""
    found = len(faults)
    numbers: dict[str, int | None] = {}
    for name in ("start", "end", *_BOX):
        text = values.get(name, "")
        numbers[name] = int(text) if _WHOLE.fullmatch(text) else None
        if text and numbers[name] is None:
            faults.add(f"'{name}' is '{text}', not a whole number of 0 or more", line)
    start, end = numbers["start"] or 0, numbers["end"]
    if end is not None and start >= end:
        faults.add("'start' is not before 'end'", line)
    given = [name for name in _BOX if values.get(name, "")]
    x0, y0, x1, y1 = (numbers[name] for name in _BOX)
    box = None
    if x0 is not None and y0 is not None and x1 is not None and y1 is not None:
        box = (x0, y0, x1, y1)
        if x0 >= x1 or y0 >= y1:
            faults.add("crop box: x0 must be below x1, and y0 below y1", line)
    elif 0 < len(given) < len(_BOX) and all(name in values for name in _BOX):
        faults.add(f"crop box: give all of {', '.join(_BOX)} or none", line)
    path = folder / values["path"]
    if not values["path"]:
        faults.add("column 'path' is blank", line)
    elif not os.path.isfile(path):  # Path.is_file raises on names that no file can have
        faults.add(f"there is no file '{path}'", line)
    else:
        clip = ClipRange(path.resolve(), start, end, box)
        broken = len(faults) > found
        return Row(line, values, ClipRange(clip.path) if broken else clip, broken)
    return Row(line, values, None, broken=True)


def _line_list(lines: Sequence[int]) -> str:
    """`line 4`, or `lines 2, 5-9`."""
    ordered = sorted(set(lines))
    runs: list[list[int]] = []
    for line in ordered:
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    texts = (f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"line{'s' if len(ordered) > 1 else ''} {', '.join(texts)}"
