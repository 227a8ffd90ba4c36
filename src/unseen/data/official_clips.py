"""Clips of the published data sets, from what `official` found."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unseen.data.clips import SPLITS, ClipDataset
from unseen.data.decode import ClipFault, ClipFaults, ClipRange, Decoding, decode_clips
from unseen.data.image_clips import Stills, decode_images
from unseen.data.manifest_splits import SplitBy, checked_splits, chosen_columns, labelled
from unseen.data.manifest_table import Row, RowFaults
from unseen.data.official import Inventory, Item, check, frame_files, refuse_faults
from unseen.errors import DataError
from unseen.registry import nearest

VAL_SHARE = 0.15


def with_validation(items: Sequence[Item], seed: int) -> list[Item]:
    """The items with a part of train held out as val, if there is a train and no val.

    UCF101, HMDB51 and the published split of SBU have train and test alone. Of each value of the
    first label column (the action) about `VAL_SHARE` of train is held out, at least one group and
    never all; among an action's groups those go first whose other labels val still lacks most.
    Groups stay whole.

    Args:
        items: those of an inventory.
        seed: the same seed holds out the same items.
    """
    if {item.split for item in items} & {"val", None}:
        return list(items)
    rng = np.random.default_rng(seed)
    strata: defaultdict[str, defaultdict[str, list[Item]]] = defaultdict(lambda: defaultdict(list))
    lacking: defaultdict[tuple[str, str], float] = defaultdict(float)
    for item in items:
        if item.split == "train":
            strata[next(iter(item.labels.values()))][_unit(item)].append(item)
            for label in item.labels.items():
                lacking[label] += VAL_SHARE
    held: set[str] = set()
    for _, groups in sorted(strata.items()):
        names = sorted(groups)
        left = [names[i] for i in rng.permutation(len(names))]
        wanted = VAL_SHARE * sum(map(len, groups.values()))
        chosen: list[str] = []
        while left and wanted > 0:
            # The first of equals, so that the random order decides where labels do not.
            name = max(left, key=lambda n: sum(lacking[x] for x in groups[n][0].labels.items()))
            left.remove(name)
            size = len(groups[name])
            if abs(wanted - size) < wanted:
                chosen.append(name)
                wanted -= size
                for label in (label for item in groups[name] for label in item.labels.items()):
                    lacking[label] -= 1
        if not chosen and len(groups) > 1:
            chosen = [min(names, key=lambda n: len(groups[n]))]
        held.update(chosen)
    return [
        replace(item, split="val") if item.split == "train" and _unit(item) in held else item
        for item in items
    ]


def _unit(item: Item) -> str:
    return item.group or item.path


def load_official(
    inventory: Inventory,
    how: Decoding,
    *,
    target: str | None,
    private: Sequence[str] | None,
    seed: int,
    split_by: SplitBy | None = None,
    stills: Stills = "repeat",
    ready: Callable[[], object] = lambda: None,
) -> ClipDataset:
    """Check, split and decode a data set.

    Each item becomes one clip, frames spread evenly over it (`sample_frames`), made square
    (`letterbox`). An image becomes a clip as `stills` says. Where there is no val,
    `with_validation` holds it out; where there is no split, it is drawn as for a manifest.

    Differs from the papers: Wu18 4.1 and Wang19 4.1.1 cut a video into groups of 16 frames and
    crop them to 112 x 112; here a video is one clip, and nothing is cut off.

    Args:
        inventory: what a reader found; files that no list names are let be.
        how: size and frames of the clips, boxes to find, and a cache.
        target: the label column of the target task, one-of-k; None: no target labels are wanted.
        private: one column: one-of-k; several: a multi-label attribute, each 0 or 1. A data set
            with a single label may have it as target and as private attribute. `all`: all columns
            but the target; None: no private labels are wanted.
        seed: of what is held out or drawn.
        split_by: target and private columns by which a split is drawn; None: those above.
        stills: of images: `repeat`, clips of one repeated frame; `pan`, see `as_clip`.
        ready: called when all but the clips has been looked at, and is as it must be.

    Raises:
        DataError: naming every fault of the lists, of the files and of the labels.
    """
    faults = _Faults()
    for fault in check(inventory).faults:
        faults.add(fault)
    items = with_validation(inventory.items, seed)
    labels = list(items[0].labels) if items else []
    private = chosen_columns(target, private, labels)
    columns = list(dict.fromkeys(c for c in (target, *(private or ())) if c is not None))
    for column in columns:
        if column not in labels:
            choices = ", ".join(labels) or "none"
            faults.add(f"no label column '{column}'{nearest(column, labels)}; there are: {choices}")
    if private is not None and (not private or len(set(private)) < len(private)):
        faults.add(f"choose one or more different private columns, not {list(private)}")
    if not set(columns) <= set(labels):
        refuse_faults(inventory.name, inventory.root, faults)

    rows = [
        Row(
            line=number,
            values={**item.labels, "path": item.path, "split": item.split or ""},
            clip=ClipRange(inventory.root / item.path, *(item.frames or (0, None))),
            broken=False,
            group=item.group,
        )
        for number, item in enumerate(items, start=1)
    ]
    splits = checked_splits(rows, (target, private), labels, seed, split_by, faults)
    # Before hours of decoding; `unseen data check --decode` reads all files whatever is missing.
    refuse_faults(inventory.name, inventory.root, faults)
    ready()

    order = sorted(range(len(rows)), key=lambda i: (*SPLITS, None).index(splits[i]))
    rows = [rows[i] for i in order]
    ranges = [row.clip for row in rows if row.clip is not None]
    try:
        if inventory.kind == "video":
            decoded = decode_clips(ranges, how)
        else:
            decoded = decode_images(
                _pictures(inventory, ranges),
                ranges,
                how,
                stills=stills if inventory.kind == "image" else None,
                fps=inventory.fps,
            )
    except ClipFaults as found:
        for clip_fault in found.faults:
            faults.add(clip_fault.message)
        refuse_faults(inventory.name, inventory.root, faults)
        raise

    data = labelled(inventory.name, rows, splits, decoded, target, private)
    return replace(data, found=tuple(finder.source for finder in how.find))


class _Faults(RowFaults):
    """Faults without the numbers of rows, which mean nothing where there is no manifest."""

    def add(self, message: str, *lines: int) -> None:
        super().add(message)


def _pictures(inventory: Inventory, ranges: Sequence[ClipRange]) -> list[list[Path]]:
    """The files of each item: the image, or the frames in the folder."""
    if inventory.kind == "image":
        return [[clip.path] for clip in ranges]
    faults: list[ClipFault] = []
    files: list[list[Path]] = []
    for i, clip in enumerate(ranges):
        try:
            files.append(frame_files(clip.path, inventory.pattern))
        except DataError as error:
            faults.append(ClipFault(str(error), (i,)))
    if faults:
        raise ClipFaults(faults)
    return files
