"""From videos to stored clips: which frames, how they are made square, and a cache of them."""

import hashlib
import json
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from unseen.data.video import probe, read_frames
from unseen.errors import DataError, VideoError
from unseen.files import write_json, written_whole
from unseen.types import StoredClips

Progress: TypeAlias = Callable[[int, int], None]
Images: TypeAlias = npt.NDArray[np.uint8]


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
    """

    clips: StoredClips
    fps: float


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
    height, width = image.shape[:2]
    scale = size / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    if scale != 1:
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(image, (new_width, new_height), interpolation=method)
        image = np.asarray(resized, np.uint8)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    boxed = np.zeros((size, size, 3), np.uint8)
    boxed[top : top + new_height, left : left + new_width] = image
    return boxed


def decode_clips(
    ranges: Sequence[ClipRange],
    *,
    size: int,
    frames: int,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> DecodedClips:
    """Decode every video of `ranges` once, to its end, and keep the frames that are wanted.

    Args:
        ranges: one per clip.
        size: height and width of the clips in pixels.
        frames: frames per clip.
        cache: folder for the clips, which are then memory-mapped. They are found again while
            `ranges`, `size`, `frames` and the videos' lengths and times are the same, see
            `kept_clips`.
        progress: called with (videos read, videos in all).

    Raises:
        ClipFaults: broken videos, ranges and boxes outside of their video.
        DataError: a damaged cache file, or no space for one.
    """
    wanted = [[str(clip.path), clip.start, clip.end, clip.box] for clip in ranges]
    return kept_clips(
        (len(ranges), frames, size, size, 3),
        lambda clips: _decode_into(clips, ranges, progress),
        (clip.path for clip in ranges),
        wanted,
        cache,
    )


def kept_clips(
    shape: tuple[int, int, int, int, int],
    fill: Callable[[StoredClips], float],
    files: Iterable[Path],
    wanted: object,
    cache: Path | None,
) -> DecodedClips:
    """Clips from memory or, with a cache, from a file that is written the first time.

    Args:
        shape: `(clips, frames, size, size, 3)`.
        fill: writes the clips into zeros of that shape and returns their frame rate.
        files: what it reads, all of them; nothing is read where there is no cache.
        wanted: JSON of what it takes from them.
        cache: the folder, or None.

    Raises:
        DataError: a damaged cache file, or no space for one.
    """
    if cache is None:
        clips = np.zeros(shape, np.uint8)
        return DecodedClips(clips, fill(clips))
    stored = cache / f"clips-{_key(shape, files, wanted)}.npy"
    facts = stored.with_suffix(".json")
    if not stored.exists():
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
    try:
        # "c", not "r": torch warns of memory that it may not write to. The file stays as it is.
        clips = np.load(stored, mmap_mode="c", allow_pickle=False)
        fps = float(json.loads(facts.read_text(encoding="utf-8"))["fps"])
        if clips.shape != shape or clips.dtype != np.uint8:
            raise ValueError(f"it holds {clips.dtype} {clips.shape}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the cached clips '{stored}' are damaged; delete them: {error}") from error
    return DecodedClips(clips, fps)


def _key(shape: tuple[int, ...], files: Iterable[Path], wanted: object) -> str:
    facts = {path: path.stat() for path in files}
    content = [
        [*shape, cv2.__version__],
        [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in facts.items()],
        wanted,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _decode_into(
    clips: StoredClips, ranges: Sequence[ClipRange], progress: Progress | None
) -> float:
    """Fill `clips`; their frame rate. Raises `ClipFaults` when all videos have been tried."""
    by_video: defaultdict[Path, dict[int, ClipRange]] = defaultdict(dict)
    for i, clip in enumerate(ranges):
        by_video[clip.path][i] = clip
    faults: list[ClipFault] = []
    seconds: list[Fraction] = []
    for done, (path, wanted) in enumerate(by_video.items(), start=1):
        try:
            seconds += _decode_video(clips, path, wanted, faults)
        except VideoError as error:
            faults.append(ClipFault(str(error), tuple(wanted)))
        if progress is not None:
            progress(done, len(by_video))
    if faults:
        raise ClipFaults(faults)
    return float(np.median([float(clips.shape[1] / length) for length in seconds]))


def _decode_video(
    clips: StoredClips, path: Path, wanted: dict[int, ClipRange], faults: list[ClipFault]
) -> list[Fraction]:
    """Fill the clips of one video; the seconds that each lasts."""
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
    read = _fill(clips, path, wanted, info.frames)
    if read != info.frames and any(clip.end is None for clip in wanted.values()):
        _fill(clips, path, wanted, read)
    late = [i for i, clip in wanted.items() if max(clip.start + 1, clip.end or 0) > read]
    if late:
        faults.append(ClipFault(f"frames past the end of '{path}', which has {read}", tuple(late)))
        return []
    return [((clip.end or read) - clip.start) / info.rate for clip in wanted.values()]


def _fill(clips: StoredClips, path: Path, wanted: dict[int, ClipRange], count: int | None) -> int:
    """Read the video to its end; the number of its frames. `count` is where open ranges end."""
    slots: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for i, clip in wanted.items():
        end = clip.end if clip.end is not None else count
        if end is not None:
            for slot, number in enumerate(sample_frames(clip.start, end, clips.shape[1])):
                slots[int(number)].append((i, slot))
    read = 0
    for frame in read_frames(path):
        for i, slot in slots.get(read, ()):
            x0, y0, x1, y1 = wanted[i].box or (0, 0, frame.image.shape[1], frame.image.shape[0])
            image = frame.image[y0:y1, x0:x1]
            if image.size:
                clips[i, slot] = letterbox(image, clips.shape[2])
        read += 1
    return read
