"""Clips of pictures: of the frames in a folder, or of one image, which repeats or drifts."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from unseen.anonymizers.base import BoxKind
from unseen.boxes import enlarged
from unseen.data.decode import (
    ClipFault,
    ClipFaults,
    ClipRange,
    DecodedClips,
    Decoding,
    Images,
    Take,
    kept_boxes,
    kept_clips,
    letterbox,
    sample_frames,
)
from unseen.data.pictures import read_picture
from unseen.errors import DataError
from unseen.types import StoredClips

Stills: TypeAlias = Literal["repeat", "pan"]
Steps: TypeAlias = Int64[np.ndarray, " frames"]


def decode_images(
    files: Sequence[Sequence[Path]],
    ranges: Sequence[ClipRange],
    how: Decoding,
    *,
    stills: Stills | None,
    fps: float,
) -> DecodedClips:
    """Clips of pictures; of an image that repeats one frame is kept.

    Args:
        files: of each clip, its frames in order, or one image.
        ranges: which of the frames, and which part of them.
        how: size, frames, boxes, cache.
        stills: what becomes of one image, see `as_clip`; None: each clip has frames of its own.
        fps: frames per second of the frames, or of the clips that are made of images.

    Raises:
        ClipFaults: damaged pictures, and crop boxes outside of them.
        DataError: there is no space for the cache.
    """
    one = stills is not None
    pairs = list(zip(ranges, files, strict=True))
    ends = [len(of) if clip.end is None else clip.end for clip, of in pairs]

    def read(take: Take) -> None:
        faults: list[ClipFault] = []
        for i, (clip, of) in enumerate(pairs):
            numbers = [0] if one else sample_frames(clip.start, ends[i], how.frames)
            for slot, number in enumerate(numbers):
                try:
                    take(i, slot, _part(of[number], clip.box))
                except DataError as error:
                    fault = ClipFault(str(error), (i,))
                    if fault not in faults[-1:]:  # a frame of a short take is read again
                        faults.append(fault)
            if how.progress is not None:
                how.progress(i + 1, len(pairs))
        if faults:
            raise ClipFaults(faults)

    def fill(clips: StoredClips) -> float:
        def take(i: int, slot: int, image: Images) -> None:
            if one:
                clips[i] = as_clip(letterbox(image, how.size), clips.shape[1])
            else:
                clips[i, slot] = letterbox(image, how.size)

        read(take)
        lengths = [end - clip.start for clip, end in zip(ranges, ends, strict=True)]
        return fps if one else fps * how.frames / float(np.median(lengths))

    length = 1 if stills == "repeat" else how.frames
    used = [file for of in files for file in of]
    wanted = [stills, [[str(clip.path), clip.start, clip.end, clip.box] for clip in ranges]]
    decoded = kept_clips(
        (len(ranges), length, how.size, how.size, 3), fill, used, wanted, how.cache
    )
    shape = (len(ranges), 1 if one else how.frames, how.size)
    boxes = {f.source.kind: kept_boxes(shape, f, read, used, wanted, how.cache) for f in how.find}
    if not one:
        return replace(decoded, boxes=boxes)
    if stills == "pan" and boxes:
        seeds = np.zeros(len(ranges), np.uint64)

        def seed(i: int, slot: int, image: Images) -> None:
            seeds[i] = seed_of(letterbox(image, how.size))

        read(seed)
        boxes = {
            kind: drifting(kind, its, seeds.tolist(), how.size, how.frames)
            for kind, its in boxes.items()
        }
    return DecodedClips(
        repeated(decoded.clips, how.frames),
        decoded.fps,
        {kind: held(its, how.frames) for kind, its in boxes.items()},
    )


def _part(file: Path, box: tuple[int, int, int, int] | None) -> Images:
    """A picture, or what lies in a crop box of it."""
    image = read_picture(file)
    if box is None:
        return image
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    if x1 > width or y1 > height:
        raise DataError(f"crop box outside of '{file}', which is {width}x{height}")
    return image[y0:y1, x0:x1]


def seed_of(image: Images) -> int:
    """Of the direction in which a picture drifts: wherever it stands, it becomes the same clip.

    A run knows what it has seen by its clips (`unseen.data.seen`).
    """
    return int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8])


def as_clip(image: Images, frames: int) -> UInt8[np.ndarray, "frames size size 3"]:
    """A square image as a clip: itself, or, of several frames, a picture that drifts.

    It moves by an eighth of its size in all, at an even pace, through where it was, the edge
    repeated: enough for a filter that sees only what moves to see all of it.

    Args:
        image: `uint8 (size, size, 3)`.
        frames: of the clip; one: the image as it is.
    """
    size = len(image)
    down, right = _drift(size, frames, seed_of(image))
    rows = np.clip(np.arange(size) + down[:, None], 0, size - 1)
    columns = np.clip(np.arange(size) + right[:, None], 0, size - 1)
    return np.asarray(image[rows[:, :, None], columns[:, None, :]])


def drifting(
    kind: BoxKind,
    boxes: Float32[np.ndarray, "images 1 boxes 4"],
    seeds: Sequence[int],
    size: int,
    frames: int,
) -> Float32[np.ndarray, "images frames boxes 4"]:
    """Boxes in images, `(images, 1, boxes, 4)`, in the clips that `as_clip` makes of them.

    `seeds` are the images' (`seed_of`). What is masked up to the edge stays masked up to it, since
    there the edge is repeated; faces are masked in larger boxes (`Mask`).
    """
    if not len(boxes):
        return boxes
    steps = [np.stack(_drift(size, frames, i)[::-1] * 2, 1)[:, None] for i in seeds]
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
