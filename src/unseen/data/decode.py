"""From videos to stored clips: which frames, how they are made square, and a cache of them."""

import hashlib
import json
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from unseen.anonymizers.base import BoxKind
from unseen.data.clips import BoxSource
from unseen.data.video import probe, read_frames
from unseen.errors import DataError, VideoError
from unseen.files import read_json, write_json, written_whole
from unseen.types import StoredClips

Progress: TypeAlias = Callable[[int, int], None]
Images: TypeAlias = npt.NDArray[np.uint8]
# Boxes in frames of clips, in pixels, NaN where there are fewer.
ClipBoxes: TypeAlias = Float32[np.ndarray, "clips time boxes 4"]
# Takes the number of a clip, that of its frame, and the frame as it is in the video.
Take: TypeAlias = Callable[[int, int, Images], None]


@dataclass(frozen=True)
class BoxFinder:
    """What finds boxes of one kind.

    Attributes:
        source: the detector, its weights and its threshold: with others, boxes are found anew.
        find: takes an RGB picture and gives x0, y0, x1, y1 in its pixels, `float32 (boxes, 4)`.
    """

    source: BoxSource
    find: Callable[[Images], Float32[np.ndarray, "boxes 4"]]


@dataclass(frozen=True)
class Decoding:
    """How videos and images become clips.

    Attributes:
        size: height and width of the clips in pixels.
        frames: frames per clip.
        find: boxes to find in the frames as they are in the file, in the crop box if there is one.
        cache: folder for the clips, which are then memory-mapped, and found again while what is
            wanted and the files' lengths and times are the same, see `kept_clips`. It holds raw
            video. None: clips are kept in memory.
        progress: called with (files read, files in all).
    """

    size: int
    frames: int
    find: Sequence[BoxFinder] = ()
    cache: Path | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class ClipRange:
    """Where a clip comes from.

    Attributes:
        path: the video.
        start: its first frame, counted from 0.
        end: the frame after its last; None: the end of the video.
        box: `(x0, y0, x1, y1)` in pixels of the upright video, x1 and y1 not included; None: all.
    """

    path: Path
    start: int = 0
    end: int | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class ClipFault:
    """Why clips cannot be had; `clips` are positions in the list that was asked for."""

    message: str
    clips: tuple[int, ...]


class ClipFaults(Exception):  # noqa: N818 (it carries faults; the caller makes the error of them)
    """All faults that decoding found; callers turn it into a `DataError` with their own names."""

    def __init__(self, faults: Sequence[ClipFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault.message for fault in faults))


@dataclass(frozen=True)
class DecodedClips:
    """Clips and their frame rate.

    Attributes:
        clips: `uint8 (clips, frames, size, size, 3)`, RGB; an array or a memory map.
        fps: frames per second of the clips, the median over them: `frames` divided by the
            seconds that the range lasts at the video's mean rate.
        boxes: of each kind that was looked for, in pixels of the clips.
    """

    clips: StoredClips
    fps: float
    boxes: Mapping[BoxKind, ClipBoxes] = field(default_factory=dict)


def sample_frames(start: int, end: int, frames: int) -> npt.NDArray[np.int64]:
    """`frames` frame numbers spread evenly over `[start, end)`.

    The range is cut into `frames` equal parts and the frame at the middle of each is taken, so
    a range of exactly `frames` frames is taken as it is, and the frames of a shorter one are
    repeated, each as often as the others (give or take one).
    """
    middles = (2 * np.arange(frames, dtype=np.int64) + 1) * (end - start)
    return start + middles // (2 * frames)


def letterbox(image: Images, size: int) -> Images:
    """`image (height, width, 3)` scaled to fit into `size` x `size`, centred, black around it.

    Nothing is cut off, people at the edge stay in, and their build keeps its proportions. An
    image that is a square of that size already is returned unchanged.
    """
    (top, left), (new_height, new_width) = fitted(image, size)
    if max(image.shape[:2]) != size:
        method = cv2.INTER_AREA if size < max(image.shape[:2]) else cv2.INTER_LINEAR
        resized = cv2.resize(image, (new_width, new_height), interpolation=method)
        image = np.asarray(resized, np.uint8)
    boxed = np.zeros((size, size, 3), np.uint8)
    boxed[top : top + new_height, left : left + new_width] = image
    return boxed


def letterboxed(
    boxes: Float32[np.ndarray, "boxes 4"], image: Images, size: int
) -> Float32[np.ndarray, "boxes 4"]:
    """Boxes `(x0, y0, x1, y1)` in pixels of an image, in pixels of its `letterbox`."""
    (top, left), (new_height, new_width) = fitted(image, size)
    height, width = image.shape[:2]
    scale = np.array([new_width / width, new_height / height] * 2, np.float32)
    return boxes * scale + np.array([left, top] * 2, np.float32)


def fitted(image: Images, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Top and left, height and width, of an image in its `letterbox`."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    return ((size - new_height) // 2, (size - new_width) // 2), (new_height, new_width)


def decode_clips(ranges: Sequence[ClipRange], how: Decoding) -> DecodedClips:
    """Decode every video of `ranges` once, to its end, and keep the frames that are wanted.

    Where boxes are to be found, every video is read once more for each kind.

    Args:
        ranges: one per clip.
        how: size, frames, boxes, cache.

    Raises:
        ClipFaults: broken videos, ranges and boxes outside of their video.
        DataError: there is no space for the cache.
    """
    wanted = [[str(clip.path), clip.start, clip.end, clip.box] for clip in ranges]
    files = [clip.path for clip in ranges]

    def fill(clips: StoredClips) -> float:
        def take(clip: int, slot: int, image: Images) -> None:
            clips[clip, slot] = letterbox(image, how.size)

        return read(take)

    def read(take: Take) -> float:
        return _read_all(ranges, how.frames, take, how.progress)

    shape = (len(ranges), how.frames, how.size)
    decoded = kept_clips((*shape, how.size, 3), fill, files, wanted, how.cache)
    boxes = {
        finder.source.kind: kept_boxes(shape, finder, read, files, wanted, how.cache)
        for finder in how.find
    }
    return replace(decoded, boxes=boxes)


def kept_clips(
    shape: tuple[int, int, int, int, int],
    fill: Callable[[StoredClips], float],
    files: Iterable[Path],
    wanted: object,
    cache: Path | None,
) -> DecodedClips:
    """Clips from memory or, with a cache, from a file that is written the first time.

    A damaged file is written anew.

    Args:
        shape: `(clips, frames, size, size, 3)`.
        fill: writes the clips into zeros of that shape and returns their frame rate.
        files: what it reads, all of them; nothing is read where there is no cache.
        wanted: JSON of what it takes from them.
        cache: the folder, or None.

    Raises:
        DataError: there is no space for the cache.
    """
    if cache is None:
        clips = np.zeros(shape, np.uint8)
        return DecodedClips(clips, fill(clips))
    stored = cache / f"clips-{_key(shape, files, wanted)}.npy"
    facts = stored.with_suffix(".json")
    kept = _kept(stored, shape, np.uint8)
    fps = _kept_rate(facts)
    if kept is None or fps is None:
        cache.mkdir(parents=True, exist_ok=True)
        needed, free = math.prod(shape), shutil.disk_usage(cache).free
        if needed > free:  # writing a memory map to a full disk would kill the process
            raise DataError(
                f"the clips take {needed / 1e6:.0f} MB, but '{cache}' has {free / 1e6:.0f} MB left"
            )
        with written_whole(stored) as temporary:
            written = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            fps = fill(written)
            written.flush()
            write_json(facts, {"fps": fps})
        kept = np.lib.format.open_memmap(stored, mode="c")
    return DecodedClips(kept, fps)


def _kept(stored: Path, shape: tuple[int | None, ...], dtype: type) -> npt.NDArray[Any] | None:
    """A cached array, mapped, of which None in the shape may be any number; None: to be made."""
    try:
        # "c", not "r": torch warns of memory that it may not write to. The file stays as it is.
        kept = np.lib.format.open_memmap(stored, mode="c")
    except Exception:  # of any kind, whatever the bytes happen to mean
        return None
    fits = len(kept.shape) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, kept.shape, strict=True)
    )
    return kept if fits and kept.dtype == dtype else None


def _kept_rate(facts: Path) -> float | None:
    """The frame rate of cached clips; None: to be found."""
    try:
        fps = float(read_json(facts)["fps"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return fps if 0 < fps < math.inf else None


def kept_boxes(
    shape: tuple[int, int, int],
    finder: BoxFinder,
    read: Callable[[Take], object],
    files: Iterable[Path],
    wanted: object,
    cache: Path | None,
) -> ClipBoxes:
    """Boxes in all frames of clips, found or, with a cache, read from a file written before.

    A damaged file is written anew.

    Args:
        shape: `(clips, frames, size)`.
        finder: finds them in a frame as it is in the video.
        read: hands every frame of every clip to what it is given.
        files: as in `kept_clips`, as are the next two.
        wanted: JSON of what is taken from them.
        cache: the folder, or None.
    """
    stored = None
    if cache is not None:
        key = _key(shape, files, [wanted, asdict(finder.source)])
        stored = cache / f"boxes-{key}.npy"
        kept: ClipBoxes | None = _kept(stored, (*shape[:2], None, 4), np.float32)
        if kept is not None:
            return kept
    found: dict[tuple[int, int], npt.NDArray[np.float32]] = {}

    def take(clip: int, slot: int, image: Images) -> None:
        found[clip, slot] = letterboxed(finder.find(image), image, shape[2])

    read(take)
    most = max(map(len, found.values()), default=0)
    boxes: ClipBoxes = np.full((*shape[:2], most, 4), np.nan, np.float32)
    for (clip, slot), its in found.items():
        boxes[clip, slot, : len(its)] = its
    if stored is not None:
        with written_whole(stored) as temporary, temporary.open("wb") as file:
            np.save(file, boxes)
    return boxes


def _key(shape: tuple[int, ...], files: Iterable[Path], wanted: object) -> str:
    facts = {path: path.stat() for path in files}
    content = [
        [*shape, cv2.__version__],
        [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in facts.items()],
        wanted,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _read_all(
    ranges: Sequence[ClipRange], frames: int, take: Take, progress: Progress | None
) -> float:
    """Hand on all wanted frames; the clips' frame rate.

    Raises:
        ClipFaults: when all videos have been tried.
    """
    by_video: defaultdict[Path, dict[int, ClipRange]] = defaultdict(dict)
    for i, clip in enumerate(ranges):
        by_video[clip.path][i] = clip
    faults: list[ClipFault] = []
    seconds: list[Fraction] = []
    for done, (path, wanted) in enumerate(by_video.items(), start=1):
        try:
            seconds += _read_video(take, frames, path, wanted, faults)
        except VideoError as error:
            faults.append(ClipFault(str(error), tuple(wanted)))
        if progress is not None:
            progress(done, len(by_video))
    if faults:
        raise ClipFaults(faults)
    return float(np.median([float(frames / length) for length in seconds]))


def _read_video(
    take: Take, frames: int, path: Path, wanted: dict[int, ClipRange], faults: list[ClipFault]
) -> list[Fraction]:
    """Hand on the frames of one video; the seconds that each of its clips lasts."""
    info = probe(path)
    outside = [
        i
        for i, clip in wanted.items()
        if clip.box is not None and (clip.box[2] > info.width or clip.box[3] > info.height)
    ]
    if outside:
        size = f"{info.width}x{info.height}"
        faults.append(ClipFault(f"crop box outside of '{path}', which is {size}", tuple(outside)))
    # The container's count is a guess: when it is wrong, open ends are known only after a pass.
    read = _read_frames(take, frames, path, wanted, info.frames)
    if read != info.frames and any(clip.end is None for clip in wanted.values()):
        _read_frames(take, frames, path, wanted, read)
    late = [i for i, clip in wanted.items() if max(clip.start + 1, clip.end or 0) > read]
    if late:
        faults.append(ClipFault(f"frames past the end of '{path}', which has {read}", tuple(late)))
        return []
    return [((clip.end or read) - clip.start) / info.rate for clip in wanted.values()]


def _read_frames(
    take: Take, frames: int, path: Path, wanted: dict[int, ClipRange], count: int | None
) -> int:
    """Read the video to its end; the number of its frames. `count` is where open ranges end."""
    slots: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for i, clip in wanted.items():
        end = clip.end if clip.end is not None else count
        if end is not None:
            for slot, number in enumerate(sample_frames(clip.start, end, frames)):
                slots[int(number)].append((i, slot))
    read = 0
    for frame in read_frames(path):
        for i, slot in slots.get(read, ()):
            x0, y0, x1, y1 = wanted[i].box or (0, 0, frame.image.shape[1], frame.image.shape[0])
            image = frame.image[y0:y1, x0:x1]
            if image.size:
                take(i, slot, image)
        read += 1
    return read
