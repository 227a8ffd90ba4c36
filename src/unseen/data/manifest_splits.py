"""Labelled rows: their faults, their split where none is given, and the data set they become."""

import itertools
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from unseen.data.clips import (
    NO_LABELS,
    SPLITS,
    ClipDataset,
    LabelSet,
    Split,
    SplitName,
    hash_splits,
)
from unseen.data.decode import ClipRange, DecodedClips
from unseen.data.manifest_table import Row, RowFaults
from unseen.registry import nearest
from unseen.types import StoredClips

# The target and the private columns by which a split is drawn.
SplitBy: TypeAlias = tuple[str | None, Sequence[str] | None]

_SHARES: dict[SplitName, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
_DRAWS = 100


def _lines_by_label(rows: Sequence[Row], column: str) -> dict[str, list[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row.values[column]:
            found[row.values[column]].append(row.line)
    return dict(sorted(found.items()))


def class_faults(
    rows: Sequence[Row], columns: Sequence[str], attributes: Sequence[str], faults: RowFaults
) -> None:
    """Faults of the labels that no split can mend."""
    for column in columns:
        blank = [row.line for row in rows if not row.values[column]]
        if blank:
            faults.add(f"column '{column}' is blank: every clip needs a label", *blank)
        found = _lines_by_label(rows, column)
        if column in attributes:
            wrong = sorted(found.keys() - {"0", "1"})
            lines = [line for label in wrong for line in found.pop(label)]
            if wrong:
                faults.add(
                    f"column '{column}' holds {', '.join(map(repr, wrong))}: of several private "
                    "columns each must be 0 or 1",
                    *lines,
                )
        for label, lines in found.items():
            if len(lines) == 1:
                faults.add(f"'{label}' in column '{column}' has only this one clip", *lines)
        if len(found) == 1:
            faults.add(f"column '{column}' is '{next(iter(found))}' in every row: nothing to learn")


def _split_faults(
    rows: Sequence[Row],
    splits: Sequence[SplitName | None],
    columns: Sequence[str],
    attributes: Sequence[str],
    faults: RowFaults,
) -> None:
    """Faults of a split: empty, unlearnable labels, undefined metrics."""
    parts = {
        name: [row for row, split in zip(rows, splits, strict=True) if split == name]
        for name in SPLITS
    }
    for name, part in parts.items():
        if not part:
            faults.add(f"split '{name}' has no clips")
    for column in columns:
        learnt = _lines_by_label(parts["train"], column)
        for name in ("val", "test"):
            found = _lines_by_label(parts[name], column)
            for label in sorted(found.keys() - learnt.keys()):
                faults.add(
                    f"'{label}' in column '{column}' occurs in '{name}' and never in 'train'",
                    *found[label],
                )
            if column in attributes and found.keys() in ({"0"}, {"1"}):
                never = "never 1" if found.keys() == {"0"} else "always 1"
                faults.add(
                    f"attribute '{column}' is {never} in '{name}': it has no precision there"
                )


def _overlap_faults(
    rows: Sequence[Row], splits: Sequence[SplitName | None], faults: RowFaults
) -> None:
    """The same frames in two splits: every figure would be too good."""
    by_video: defaultdict[Path, list[tuple[Row, ClipRange, SplitName]]] = defaultdict(list)
    for row, split in zip(rows, splits, strict=True):
        if split is not None and row.clip is not None and not row.broken:
            by_video[row.clip.path].append((row, row.clip, split))
    for members in by_video.values():
        lines = {
            row.line
            for pair in itertools.combinations(members, 2)
            if pair[0][2] != pair[1][2] and _overlap(pair[0][1], pair[1][1])
            for row, _, _ in pair
        }
        if lines:
            name = members[0][0].values["path"]
            faults.add(f"the same frames of '{name}' are in more than one split", *lines)


def _overlap(a: ClipRange, b: ClipRange) -> bool:
    if (b.end is not None and a.start >= b.end) or (a.end is not None and b.start >= a.end):
        return False
    if a.box is None or b.box is None:
        return True
    return all(a.box[i] < b.box[i + 2] and b.box[i] < a.box[i + 2] for i in (0, 1))


def splits_of(
    rows: Sequence[Row],
    columns: Sequence[str],
    attributes: Sequence[str],
    seed: int,
    faults: RowFaults,
    by: tuple[Sequence[str], Sequence[str]] | None = None,
) -> list[SplitName | None]:
    """The split of each row, None where it cannot be told; drawn if the manifest names none.

    Args:
        rows: of the manifest.
        columns: label columns that are wanted; the split must do for them.
        attributes: those of them that are one of several 0/1 columns.
        seed: of the draw.
        faults: added to.
        by: the same two for the draw, if it is to be that of other columns, see `checked_splits`.
    """
    given = [row.values.get("split", "") for row in rows]
    if any(given):
        for row, text in zip(rows, given, strict=True):
            if not text:
                faults.add("column 'split' is blank here and filled elsewhere", row.line)
            elif text not in SPLITS:
                faults.add(
                    f"'split' is '{text}'{nearest(text, SPLITS)}; use {', '.join(SPLITS)}",
                    row.line,
                )
        splits = [next((name for name in SPLITS if name == text), None) for text in given]
        _split_faults(rows, splits, columns, attributes, faults)
        _overlap_faults(rows, splits, faults)
        return splits
    for attempt in range(_DRAWS):
        drawn = _draw_split(rows, (by or (columns,))[0], np.random.default_rng([seed, attempt]))
        drawn_faults = RowFaults()
        _split_faults(rows, drawn, *(by or (columns, attributes)), drawn_faults)
        if not drawn_faults:
            break
    drawn_faults = RowFaults()
    _split_faults(rows, drawn, columns, attributes, drawn_faults)
    for fault in drawn_faults:
        faults.add(f"{fault} (in the split that was drawn by video: add clips or a column 'split')")
    return drawn


def _draw_split(
    rows: Sequence[Row], columns: Sequence[str], rng: np.random.Generator
) -> list[SplitName | None]:
    """A stratified split by systematic sampling; rows of one video stay together.

    The videos are put in an order in which equal targets stand together and, among those, equal
    private labels, random otherwise, and taken in turn from a random start. Each goes to the
    split that is furthest below its share, so that every stretch of the order, hence every label,
    is shared out in proportion.
    """
    members: defaultdict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        members[_video(row)].append(i)
    rank: defaultdict[Hashable, float] = defaultdict(rng.random)

    def place(video: str) -> tuple[float, float, float]:
        labels = tuple(rows[members[video][0]].values[column] for column in columns)
        return rank[labels[:1]], rank[("joint", *labels)], rank[video]

    splits: list[SplitName | None] = [None] * len(rows)
    short = dict.fromkeys(SPLITS, 0.0)
    videos = sorted(members, key=place)
    start = int(rng.integers(len(videos)))
    for video in videos[start:] + videos[:start]:
        for name, share in _SHARES.items():
            short[name] += share * len(members[video])
        chosen = max(SPLITS, key=short.__getitem__)
        short[chosen] -= len(members[video])
        for i in members[video]:
            splits[i] = chosen
    return splits


def _video(row: Row) -> str:
    """The recording that a row is of: its group, or its file, however the path is spelt."""
    return row.group or (str(row.clip.path) if row.clip else row.values["path"])


def classes(rows: Sequence[Row], column: str) -> tuple[str, ...]:
    """The distinct labels of a column, sorted as text."""
    return tuple(sorted({row.values[column] for row in rows}))


def encode(rows: Sequence[Row], labels: LabelSet) -> npt.NDArray[Any]:
    """Labels as `Split` stores them: `int64 (clips,)` or `float32 (clips, attributes)`."""
    if labels.multi_label:
        return np.array(
            [[float(row.values[name]) for name in labels.classes] for row in rows], np.float32
        )
    return np.array([labels.classes.index(row.values[labels.name]) for row in rows], np.int64)


def _label_set(rows: Sequence[Row], columns: Sequence[str] | None) -> LabelSet:
    """One column: one-of-k; several: a multi-label set; None: no labels are wanted."""
    if columns is None:
        return NO_LABELS
    if len(columns) > 1:
        return LabelSet(",".join(columns), tuple(columns), multi_label=True)
    return LabelSet(columns[0], classes(rows, columns[0]))


def chosen_columns(
    target: str | None, private: Sequence[str] | None, labels: Sequence[str]
) -> Sequence[str] | None:
    """The private columns, of those that there are, where `all` was asked for."""
    if private is None or list(private) != ["all"]:
        return private
    return [name for name in labels if name != target]


def _chosen_labels(
    target: str | None, private: Sequence[str] | None, labels: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Of the columns that there are those wanted, and those of them that are one of several 0/1."""
    wanted = chosen_columns(target, private, labels) or ()
    named = dict.fromkeys(name for name in (target, *wanted) if name is not None)
    return (
        [name for name in named if name in labels],
        [name for name in wanted if name in labels] if len(wanted) > 1 else [],
    )


def checked_splits(
    rows: Sequence[Row],
    chosen: SplitBy,
    labels: Sequence[str],
    seed: int,
    split_by: SplitBy | None,
    faults: RowFaults,
) -> list[SplitName | None]:
    """The split of each row, see `splits_of`; faults of the chosen labels are added.

    Args:
        rows: of the manifest.
        chosen: target and private columns.
        labels: the label columns that exist; the caller has reported any others.
        seed: of a split that is drawn.
        split_by: the columns that it is drawn by; None: the chosen ones.
        faults: added to.
    """
    columns, attributes = _chosen_labels(*chosen, labels)
    class_faults(rows, columns, attributes, faults)
    by = None
    if split_by is not None and not any(row.values.get("split") for row in rows):
        for name in (split_by[0], *(split_by[1] or ())):
            if name not in (None, "all", *labels):
                faults.add(f"no label column '{name}' to draw the split by (data.split_by)")
        by = _chosen_labels(*split_by, labels)
    return splits_of(rows, columns, attributes, seed, faults, by)


def _still(clips: StoredClips) -> bool:
    """Whether nothing moves in any of these clips."""
    if clips.strides[1] == 0:  # one frame, repeated
        return True
    return not any((clip != clip[:1]).any() for clip in clips)


def labelled(
    name: str,
    rows: Sequence[Row],
    splits: Sequence[SplitName | None],
    decoded: DecodedClips,
    target: str | None,
    private: Sequence[str] | None,
) -> ClipDataset:
    """A data set of decoded rows, which stand in the order train, val, test."""
    target_set = _label_set(rows, None if target is None else [target])
    private_set = _label_set(rows, private)
    parts: dict[SplitName, Split] = {}
    first = 0
    for split in SPLITS:
        span = slice(first, first + list(splits).count(split))
        parts[split] = Split(
            clips=decoded.clips[span],
            target=encode(rows[span], target_set),
            private=encode(rows[span], private_set),
            boxes={kind: boxes[span] for kind, boxes in decoded.boxes.items()},
            videos=np.unique([_video(row) for row in rows[span]], return_inverse=True)[1],
        )
        first = span.stop
    return ClipDataset(
        name=name,
        target=target_set,
        private=private_set,
        train=parts["train"],
        val=parts["val"],
        test=parts["test"],
        fps=decoded.fps,
        synthetic=False,
        still=all(_still(part.clips) for part in parts.values()),
        hash=hash_splits(parts),
    )
