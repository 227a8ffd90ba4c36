"""Clips of the published data sets, from what `official` found."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unseen.data.clips import SPLITS, ClipDataset
from unseen.data.decode import (
    ClipFault,
    ClipFaults,
    ClipRange,
    DecodedClips,
    Progress,
    decode_clips,
    letterbox,
    sample_frames,
)
from unseen.data.manifest_splits import class_faults, labelled, splits_of
from unseen.data.manifest_table import Faults, Row
from unseen.data.official import Inventory, Item, check, frame_files, read_image
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
    *,
    target: str,
    private: Sequence[str],
    size: int,
    frames: int,
    seed: int,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> ClipDataset:
    """Check, split and decode a data set.

    Each item becomes one clip, `frames` frames spread evenly over it (`sample_frames`), made
    `size` x `size` (`letterbox`). An image is a clip of one repeated frame. Where there is no
    val, `with_validation` holds it out; where there is no split, it is drawn as for a manifest.

    Differs from the papers: Wu18 4.1 and Wang19 4.1.1 cut a video into groups of 16 frames and
    crop them to 112 x 112; here a video is one clip, and nothing is cut off.

    Args:
        inventory: what a reader found; files that no list names are let be.
        target: the label column of the target task, one-of-k.
        private: one column: one-of-k; several: a multi-label attribute, each 0 or 1. A data set
            with a single label may have it as target and as private attribute.
        size: height and width of the clips in pixels.
        frames: frames per clip.
        seed: of what is held out or drawn.
        cache: folder for clips decoded from videos, see `decode_clips`. It holds raw video.
        progress: called with (files read, files in all).

    Raises:
        DataError: naming every fault of the lists, of the files and of the labels.
    """
    faults = _Faults()
    for fault in check(inventory).faults:
        faults.add(fault)
    columns = list(dict.fromkeys([target, *private]))
    items = with_validation(inventory.items, seed)
    labels = list(items[0].labels) if items else []
    for column in columns:
        if column not in labels:
            choices = ", ".join(labels) or "none"
            faults.add(f"no label column '{column}'{nearest(column, labels)}; there are: {choices}")
    if not private or len(set(private)) < len(private):
        faults.add(f"choose one or more different private columns, not {list(private)}")
    _stop(inventory, faults)

    rows = [
        Row(
            line=number,
            values={**item.labels, "path": item.path, "split": item.split or ""},
            clip=ClipRange(inventory.root / item.path, *(item.frames or (0, None))),
            broken=False,
        )
        for number, item in enumerate(items, start=1)
    ]
    attributes = list(private) if len(private) > 1 else []
    class_faults(rows, columns, attributes, faults)
    splits = splits_of(rows, columns, attributes, seed, faults)
    _stop(inventory, faults)

    order = sorted(range(len(rows)), key=lambda i: (*SPLITS, None).index(splits[i]))
    rows = [rows[i] for i in order]
    ranges = [row.clip for row in rows if row.clip is not None]
    try:
        if inventory.kind == "video":
            decoded = decode_clips(ranges, size=size, frames=frames, cache=cache, progress=progress)
        else:
            decoded = _read_images(inventory, ranges, size, frames, progress)
    except ClipFaults as found:
        for clip_fault in found.faults:
            faults.add(clip_fault.message)
        raise _error(inventory, faults) from None

    return labelled(inventory.name, rows, splits, decoded, target, private)


class _Faults(Faults):
    """Faults without the numbers of rows, which mean nothing where there is no manifest."""

    def add(self, message: str, *lines: int) -> None:
        super().add(message)


def _stop(inventory: Inventory, faults: Faults) -> None:
    if faults:
        raise _error(inventory, faults)


def _error(inventory: Inventory, faults: Iterable[str]) -> DataError:
    listed = list(faults)
    count = "1 fault" if len(listed) == 1 else f"{len(listed)} faults"
    where = f"{inventory.name} in '{inventory.root}'"
    return DataError(f"{where} has {count}; nothing was loaded", listed)


def _read_images(
    inventory: Inventory,
    ranges: Sequence[ClipRange],
    size: int,
    frames: int,
    progress: Progress | None,
) -> DecodedClips:
    """Clips from folders of frames or from images; of an image one frame is kept in memory."""
    still = inventory.kind == "image"
    clips = np.zeros((len(ranges), 1 if still else frames, size, size, 3), np.uint8)
    faults: list[ClipFault] = []
    lengths: list[int] = []
    for i, clip in enumerate(ranges):
        try:
            files = [clip.path] if still else frame_files(clip.path, inventory.pattern)
            end = len(files) if clip.end is None else clip.end
            for slot, number in enumerate(sample_frames(clip.start, end, clips.shape[1])):
                clips[i, slot] = letterbox(read_image(files[number]), size)
            lengths.append(end - clip.start)
        except DataError as error:
            faults.append(ClipFault(str(error), (i,)))
        if progress is not None:
            progress(i + 1, len(ranges))
    if faults:
        raise ClipFaults(faults)
    if still and frames > 1:
        repeated = np.broadcast_to(clips, (len(ranges), frames, size, size, 3))
        return DecodedClips(repeated, inventory.fps)
    rate = inventory.fps if still else inventory.fps * frames / float(np.median(lengths))
    return DecodedClips(clips, rate)
