"""Clips of the published data sets, from what `official` found."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from unseen.anonymizers.base import BoxKind
from unseen.boxes import enlarged
from unseen.data.clips import SPLITS, ClipDataset
from unseen.data.decode import (
    ClipFault,
    ClipFaults,
    ClipRange,
    DecodedClips,
    Decoding,
    Images,
    Take,
    decode_clips,
    kept_boxes,
    kept_clips,
    letterbox,
    sample_frames,
)
from unseen.data.manifest_splits import SplitBy, checked_splits, chosen_columns, labelled
from unseen.data.manifest_table import Row, RowFaults
from unseen.data.official import Inventory, Item, check, frame_files, refuse_faults
from unseen.data.pictures import read_picture
from unseen.errors import DataError, nothing_loaded
from unseen.registry import nearest
from unseen.types import StoredClips

Stills: TypeAlias = Literal["repeat", "pan"]
Steps: TypeAlias = Int64[np.ndarray, " frames"]
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
            decoded = _read_images(inventory, ranges, how, stills)
    except ClipFaults as found:
        for clip_fault in found.faults:
            faults.add(clip_fault.message)
        raise nothing_loaded(f"{inventory.name} in '{inventory.root}'", faults) from None

    data = labelled(inventory.name, rows, splits, decoded, target, private)
    still = inventory.kind == "image" and stills == "repeat"
    return replace(data, still=still, found=tuple(finder.source for finder in how.find))


class _Faults(RowFaults):
    """Faults without the numbers of rows, which mean nothing where there is no manifest."""

    def add(self, message: str, *lines: int) -> None:
        super().add(message)


def _read_images(
    inventory: Inventory, ranges: Sequence[ClipRange], how: Decoding, stills: Stills
) -> DecodedClips:
    """Clips from folders of frames or from images; of a repeated image one frame is kept."""
    one = inventory.kind == "image"
    faults: list[ClipFault] = []
    files: list[list[Path]] = []
    for i, clip in enumerate(ranges):
        try:
            files.append([clip.path] if one else frame_files(clip.path, inventory.pattern))
        except DataError as error:
            faults.append(ClipFault(str(error), (i,)))
    if faults:
        raise ClipFaults(faults)
    pairs = zip(ranges, files, strict=True)
    ends = [len(of) if clip.end is None else clip.end for clip, of in pairs]

    def read(take: Take) -> None:
        for i, (clip, of) in enumerate(zip(ranges, files, strict=True)):
            numbers = [0] if one else sample_frames(clip.start, ends[i], how.frames)
            for slot, number in enumerate(numbers):
                try:
                    take(i, slot, read_picture(of[number]))
                except DataError as error:
                    fault = ClipFault(str(error), (i,))
                    if fault not in faults[-1:]:  # a frame of a short take is read again
                        faults.append(fault)
            if how.progress is not None:
                how.progress(i + 1, len(ranges))
        if faults:
            raise ClipFaults(faults)

    def fill(clips: StoredClips) -> float:
        def take(i: int, slot: int, image: Images) -> None:
            if one:
                clips[i] = as_clip(letterbox(image, how.size), clips.shape[1], i)
            else:
                clips[i, slot] = letterbox(image, how.size)

        read(take)
        lengths = [end - clip.start for clip, end in zip(ranges, ends, strict=True)]
        return inventory.fps if one else inventory.fps * how.frames / float(np.median(lengths))

    length = 1 if one and stills == "repeat" else how.frames
    used = [file for of in files for file in of]
    wanted = [stills, [[str(clip.path), clip.start, clip.end] for clip in ranges]]
    decoded = kept_clips(
        (len(ranges), length, how.size, how.size, 3), fill, used, wanted, how.cache
    )
    shape = (len(ranges), 1 if one else how.frames, how.size)
    boxes = {f.source.kind: kept_boxes(shape, f, read, used, wanted, how.cache) for f in how.find}
    if not one:
        return replace(decoded, boxes=boxes)
    if stills == "pan":
        boxes = {kind: drifting(kind, its, how.size, how.frames) for kind, its in boxes.items()}
    return DecodedClips(
        repeated(decoded.clips, how.frames),
        decoded.fps,
        {kind: held(its, how.frames) for kind, its in boxes.items()},
    )


def as_clip(image: Images, frames: int, seed: int) -> UInt8[np.ndarray, "frames size size 3"]:
    """A square image as a clip: itself, or, of several frames, a picture that drifts.

    It moves by an eighth of its size in all, at an even pace, through where it was, the edge
    repeated: enough for a filter that sees only what moves to see all of it.

    Args:
        image: `uint8 (size, size, 3)`.
        frames: of the clip; one: the image as it is.
        seed: of the direction.
    """
    size = len(image)
    down, right = _drift(size, frames, seed)
    rows = np.clip(np.arange(size) + down[:, None], 0, size - 1)
    columns = np.clip(np.arange(size) + right[:, None], 0, size - 1)
    return np.asarray(image[rows[:, :, None], columns[:, None, :]])


def drifting(
    kind: BoxKind, boxes: Float32[np.ndarray, "images 1 boxes 4"], size: int, frames: int
) -> Float32[np.ndarray, "images frames boxes 4"]:
    """Boxes in images, `(images, 1, boxes, 4)`, in the clips that `as_clip` makes of them.

    Each image's seed is its number. What is masked up to the edge stays masked up to it, since
    there the edge is repeated; faces are masked in larger boxes (`Mask`).
    """
    if not len(boxes):
        return boxes
    steps = [np.stack(_drift(size, frames, i)[::-1] * 2, 1)[:, None] for i in range(len(boxes))]
    moved = np.asarray(boxes - np.stack(steps), np.float32)
    masked = enlarged(boxes) if kind == "face" else boxes
    kept = np.minimum(moved, boxes)[..., :2], np.maximum(moved, boxes)[..., 2:]
    moved[..., :2] = np.where(masked[..., :2] < 1, kept[0], moved[..., :2])
    moved[..., 2:] = np.where(masked[..., 2:] > size - 1, kept[1], moved[..., 2:])
    return moved


def _drift(size: int, frames: int, seed: int) -> tuple[Steps, Steps]:
    """How far down and right of its middle each frame of a drifting picture looks, in pixels."""
    angle = 2 * np.pi * np.random.default_rng(seed).random()
    at = np.linspace(-size / 16, size / 16, frames) if frames > 1 else np.zeros(1)
    down, right = (np.rint(at * part).astype(np.int64) for part in (np.sin(angle), np.cos(angle)))
    return down, right


def repeated(clips: UInt8[np.ndarray, "clips given height width 3"], frames: int) -> StoredClips:
    """Clips of one frame as clips of `frames`, without the memory for them; others as they are."""
    if clips.shape[1] != 1 or frames == 1:
        return clips
    return np.broadcast_to(clips, (len(clips), frames, *clips.shape[2:]))


def held(
    boxes: Float32[np.ndarray, "clips given boxes 4"], frames: int
) -> Float32[np.ndarray, "clips frames boxes 4"]:
    """Boxes in one frame as those in `frames` frames in which nothing moves; others as they are."""
    if boxes.shape[1] != 1 or frames == 1:
        return boxes
    return np.repeat(boxes, frames, 1)
