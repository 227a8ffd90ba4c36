"""Apply an anonymizer to video files and folders of them, failing closed.

An output appears only when it is complete; whatever goes wrong, no frame that did not pass the
anonymizer is ever written, and an output of an earlier run stays as it was.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from unseen.anonymizers.base import Anonymizer, Step
from unseen.data.codec import Codec
from unseen.data.video import WRITABLE, VideoWriter, probe, read_frames
from unseen.errors import ConfigError, DataError, UnseenError, VideoError
from unseen.types import Clips, to_clips, to_stored

# What a folder is searched for; those that cannot be read are reported, not skipped.
_VIDEOS = (
    *WRITABLE,
    *(".m4v", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".3gp"),
    *(".wmv", ".flv", ".ogv"),
)
_MARK = ".anonymized"
# Working sizes are multiples of this, so that strided filters need no padding.
_MULTIPLE = 8
# The most pixels of the source in one step: 16 frames of 512x512, 2 of 1920x1080.
_PIXELS = 16 * 512 * 512
# What rounding in float32 may overshoot [0, 1] by.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Applied:
    """One anonymized file: `seconds` is how long it took, `width` and `height` are pixels."""

    source: Path
    output: Path
    frames: int
    width: int
    height: int
    seconds: float


def refuse_unusable(anonymizer: Anonymizer, codec: str, chunk: int) -> None:
    """Raise `ConfigError` for settings with which no video could be anonymized."""
    if anonymizer.needs_boxes is not None:
        raise ConfigError(
            f"'{anonymizer.name}' needs {anonymizer.needs_boxes} boxes, which come with a data set "
            "and not with a plain video: choose an anonymizer of the whole frame"
        )
    if chunk < 1:
        raise ConfigError(f"chunk is {chunk}: it must be at least one frame")
    Codec.parse(codec, 2, 2)


def working_shape(height: int, width: int, working_size: int | None) -> tuple[int, int]:
    """The size at which frames are anonymized: (height, width).

    The short side becomes `working_size` at the same aspect; both are rounded to a multiple of 8.
    """
    if working_size is None:
        return height, width
    scale = working_size / min(height, width)
    shrunk = (max(1, round(side * scale / _MULTIPLE)) * _MULTIPLE for side in (height, width))
    return next(shrunk), next(shrunk)


def _resize(clips: Clips, height: int, width: int) -> Float[Tensor, "batch 3 time out_h out_w"]:
    """Area averaging where both sides shrink, bilinear otherwise."""
    batch, _, length, *old = clips.shape
    if old == [height, width]:
        return clips
    frames = clips.transpose(1, 2).flatten(0, 1)
    if height <= old[0] and width <= old[1]:
        frames = interpolate(frames, (height, width), mode="area")
    else:
        frames = interpolate(frames, (height, width), mode="bilinear", align_corners=False)
    return frames.view(batch, length, 3, height, width).transpose(1, 2)


def _step(anonymizer: Anonymizer, clips: Clips, state: Any, where: str) -> Step:
    """One step, its output checked for what the interface promises."""
    what = f"anonymizer '{anonymizer.name}' failed at {where}"
    try:
        step = anonymizer.step(clips, state)
    except UnseenError:
        raise
    except Exception as error:
        raise VideoError(f"{what}: {error}") from error
    if step.clips.shape != clips.shape:
        raise VideoError(
            f"{what}: its output is {tuple(step.clips.shape)}, not {tuple(clips.shape)}"
        )
    low, high = float(step.clips.min()), float(step.clips.max())
    # Written so that NaN, for which every comparison is false, is refused.
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise VideoError(f"{what}: its output reaches from {low:g} to {high:g}, not from 0 to 1")
    return step


def anonymize_video(
    src: Path | str,
    dst: Path | str,
    anonymizer: Anonymizer,
    *,
    codec: str = "h264:crf=23",
    chunk: int = 16,
    progress: Callable[[int, int | None], None] | None = None,
    keep_audio: bool = False,
    device: torch.device | str = "cpu",
) -> Applied:
    """Anonymize a video file.

    Frames are streamed in flat memory; size, frame times (variable rates too) and pixel aspect
    stay, the picture is written upright. With a `working_size` the frames are anonymized at it, and
    the output is enlarged to the source's size. Sound and all metadata are dropped.

    Args:
        src: the video; mp4, mov, mkv, webm, avi, mpg or ts.
        dst: mp4, mov or mkv; an existing file is replaced, at the very end.
        anonymizer: set to evaluation mode meanwhile, and moved to `device`.
        codec: `h264`, `h264:crf=N` or `lossless`.
        chunk: frames for one step; fewer are taken where they are large.
        progress: called with the frames done and their number (None: not known).
        keep_audio: copy the sound as it is: voices identify people.
        device: where the anonymizer runs.

    Raises:
        ConfigError: settings that fit no video, or `dst` is `src`.
        VideoError: the source is missing or broken, the anonymizer fails or returns anything but
            values in [0, 1] of the same shape, or the output cannot be written. `dst` is then as
            it was before.
    """
    src, dst = Path(src), Path(dst)
    refuse_unusable(anonymizer, codec, chunk)
    if dst.resolve() == src.resolve() or (dst.exists() and src.exists() and dst.samefile(src)):
        raise ConfigError(f"{dst} is the input itself: choose another output")
    if dst.is_dir():
        raise ConfigError(f"the output {dst} is a folder: give the name of a file")
    begin = time.perf_counter()
    info = probe(src)
    shape = working_shape(info.height, info.width, anonymizer.working_size)
    size = max(1, min(chunk, _PIXELS // (info.height * info.width)))
    # Files that do not tell how long their last frame is shown: as long as the average frame.
    usual = round(1 / (info.rate * info.time_base))
    was_training = anonymizer.training
    anonymizer.to(device).eval()
    try:
        with (
            torch.no_grad(),
            VideoWriter(
                dst,
                info.width,
                info.height,
                info.time_base,
                codec=codec,
                rate=info.rate,
                pixel_aspect=info.pixel_aspect,
                audio=src if keep_audio else None,
            ) as writer,
        ):
            state = None
            frames = read_frames(src)
            while stretch := list(islice(frames, size)):
                images = np.stack([frame.image for frame in stretch])
                clips = _resize(to_clips(images[None], device), *shape)
                step = _step(anonymizer, clips, state, f"frame {writer.frames} of {src}")
                state = step.state
                output = to_stored(_resize(step.clips, info.height, info.width))[0]
                for frame, image in zip(stretch, output, strict=True):
                    writer.write(image, frame.pts, frame.duration or usual)
                if progress is not None:
                    progress(writer.frames, info.frames)
            count = writer.frames
    finally:
        anonymizer.train(was_training)
    return Applied(src, dst, count, info.width, info.height, time.perf_counter() - begin)


@dataclass(frozen=True)
class Job:
    """One video to anonymize, and where to."""

    source: Path
    output: Path


def _videos(folder: Path, out: Path | None) -> Iterator[Path]:
    """The videos in a folder and below, except hidden files and what this program wrote."""
    top = folder.resolve()
    nested = out is not None and out.resolve() != top and out.resolve().is_relative_to(top)
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        written = path.stem.endswith(_MARK) or (
            nested and out is not None and path.resolve().is_relative_to(out.resolve())
        )
        if path.suffix.lower() in _VIDEOS and path.is_file() and not hidden and not written:
            yield path


def _named(inside: Path, mark: str = "") -> Path:
    """The output's name: as the source's; suffixes that cannot be written become `.mp4`."""
    suffix = inside.suffix if inside.suffix.lower() in WRITABLE else ".mp4"
    return inside.with_name(f"{inside.stem}{mark}{suffix}")


def _names_file(out: Path | None) -> bool:
    """Whether `out` is meant as a video file rather than as a folder."""
    return out is not None and out.suffix.lower() in _VIDEOS and not out.is_dir()


def plan(inputs: Sequence[Path], out: Path | None) -> list[Job]:
    """Which outputs the inputs give; see `anonymize_paths`.

    Raises:
        DataError: with every fault: missing inputs, files that are no videos, folders without
            videos, two inputs for one output, an output that is an input.
        ConfigError: `out` cannot hold the outputs.
    """
    faults: list[str] = []
    jobs: dict[Path, Job] = {}
    as_file = len(inputs) == 1 and not inputs[0].is_dir() and _names_file(out)
    if out is not None and not as_file and (_names_file(out) or out.is_file()):
        raise ConfigError(f"{out} is not a folder, but the outputs need one: name a folder")
    for path in inputs:
        if path.is_dir():
            found = [(video, video.relative_to(path)) for video in _videos(path, out)]
            if not found:
                faults.append(f"{path}: no videos in this folder")
        elif not path.exists():
            faults.append(f"{path}: no such file or folder")
            continue
        else:
            found = [(path, Path(path.name))]
            if path.suffix.lower() not in _VIDEOS:
                try:
                    probe(path)
                except VideoError as error:
                    faults.append(str(error))
                    continue
        for video, inside in found:
            if out is None:
                output = _named(video, _MARK)
            else:
                output = out if as_file else out / _named(inside)
            # A video that is named twice is done once.
            jobs.setdefault(video.resolve(), Job(video, output))
    sources = defaultdict(list)
    for job in jobs.values():
        sources[job.output.resolve()].append(job)
    for output, several in sources.items():
        names = ", ".join(str(job.source) for job in several)
        if len(several) > 1:
            faults.append(f"{names}: all would be written to {several[0].output}")
        if output in jobs:
            faults.append(f"{names}: would replace the input {several[0].output}")
    if faults:
        raise DataError("nothing was anonymized, the inputs have faults:", faults)
    return list(jobs.values())


def anonymize_paths(
    inputs: Sequence[Path],
    out: Path | None,
    anonymizer: Anonymizer,
    *,
    codec: str = "h264:crf=23",
    chunk: int = 16,
    progress: Callable[[Path, int, int | None], None] | None = None,
    keep_audio: bool = False,
    device: torch.device | str = "cpu",
) -> list[Applied]:
    """Anonymize video files and folders of them, each as `anonymize_video` does.

    Folders are searched for videos, also below; hidden files and `NAME.anonymized.*` are passed
    over. With one file as input `out` may be a file's name; otherwise it is a folder, in which
    files keep their names and sub-folders. Without `out`, `NAME.anonymized.mp4` is written beside
    each video. `.mp4`, `.mov` and `.mkv` are kept as they are; all else becomes `.mp4`, since AVI
    stores no times and WebM no H.264.

    Args:
        inputs: video files and folders.
        out: see above.
        anonymizer: as in `anonymize_video`, like `codec`, `chunk`, `keep_audio` and `device`.
        codec: see there.
        chunk: see there.
        progress: called with the source, the frames done and their number (None: not known).
        keep_audio: see there.
        device: see there.

    Raises:
        ConfigError: settings that fit no video.
        DataError: before any work: faults of the inputs, every one. At the end: the videos that
            failed, every one; the others are done.
    """
    refuse_unusable(anonymizer, codec, chunk)
    jobs = plan(inputs, out)
    done: list[Applied] = []
    failed: list[str] = []
    for job in jobs:
        try:
            done.append(
                anonymize_video(
                    job.source,
                    job.output,
                    anonymizer,
                    codec=codec,
                    chunk=chunk,
                    progress=progress and partial(progress, job.source),
                    keep_audio=keep_audio,
                    device=device,
                )
            )
        except UnseenError as error:
            failed.append(str(error))
    if failed:
        raise DataError(f"{len(failed)} of {len(jobs)} videos failed:", failed)
    return done
