"""Apply an anonymizer to video files, pictures and folders of them, failing closed.

An output appears only when it is complete; whatever goes wrong, no frame that did not pass the
anonymizer is ever written, and an output of an earlier run stays as it was.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from unseen.data.codec import Codec
from unseen.data.pictures import read_picture, write_picture
from unseen.data.video import VideoWriter, ahead, probe, read_frames
from unseen.deploy.cover import FacesOnly, Paint
from unseen.deploy.plan import plan
from unseen.errors import ConfigError, DataError, Faults, NoFacesError, UnseenError, VideoError
from unseen.faces.find import Faces, FaceSettings, find_faces, find_faces_in
from unseen.files import refuse_unwritable

if TYPE_CHECKING:  # PyTorch takes seconds to import, and blackened faces do not need it
    import torch

    from unseen.anonymizers.base import Anonymizer

# The most pixels of the source in one step: 16 frames of 512x512, 2 of 1920x1080.
_PIXELS = 16 * 512 * 512


Region: TypeAlias = Literal["frame", "faces"]
# Around faces the picture stays as it was and takes time to code, so time is what is saved; the
# lower crf makes up for the lower quality of the faster preset.
_CODECS: dict[Region, str] = {"frame": "h264:crf=23", "faces": "h264-fast:crf=20"}


@dataclass(frozen=True)
class Applied:
    """One anonymized file: `seconds` is how long it took, `width` and `height` are pixels.

    `faces` counts tracks and manual boxes; None where whole frames were anonymized. `streams`
    counts the moving pictures that the source holds, of which the first was anonymized.
    """

    source: Path
    output: Path
    frames: int
    width: int
    height: int
    seconds: float
    faces: int | None = None
    streams: int = 1


def refuse_unusable(
    anonymizer: "Anonymizer | None",
    region: Region | None,
    codec: str | None,
    chunk: int,
    faces: FaceSettings | None = None,
    faces_json: Path | str | None = None,
) -> Region:
    """What is anonymized, or `ConfigError` where no video could be."""
    if anonymizer is not None and not hasattr(anonymizer, "needs_boxes"):
        raise ConfigError(
            f"{anonymizer!r} is no anonymizer: load one, with unseen.load_anonymizer('blur:8')"
        )
    if anonymizer is not None and anonymizer.removes_nothing:
        raise ConfigError(
            f"'{anonymizer.name}' removes nothing, or had no steps of its game to learn it in "
            "(train.steps=0): no raw video is written as an anonymized one"
        )
    if region not in ("frame", "faces", None):
        raise ConfigError(f"the region is '{region}': it must be 'frame' or 'faces'")
    region = _region(anonymizer, region, codec, chunk)
    if region == "frame" and (
        faces_json is not None or (faces or FaceSettings()) != FaceSettings()
    ):
        raise ConfigError(
            "whole frames are anonymized: there are no faces to find, to cover or to write; choose "
            "the region 'faces' (--region faces), or leave the options of faces out"
        )
    return region


def _region(
    anonymizer: "Anonymizer | None", region: Region | None, codec: str | None, chunk: int
) -> Region:
    if chunk < 1:
        raise ConfigError(f"chunk is {chunk}: it must be at least one frame")
    if codec is not None:
        Codec.parse(codec, 2, 2)
    if anonymizer is None:
        if region == "frame":
            raise ConfigError("whole frames need an anonymizer: name one, as in 'blur:8'")
        return "faces"
    needed = anonymizer.needs_boxes
    if needed == "body" or (needed == "face" and region == "frame"):
        raise ConfigError(
            f"'{anonymizer.name}' needs {needed} boxes, which come with a data set and not with a "
            "plain video: choose an anonymizer of the whole frame, or the region 'faces'"
        )
    return region or ("faces" if needed == "face" else "frame")


def _path(name: Path | str | None) -> Path | None:
    return None if name is None else Path(name)


def _same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file, by links too; it may not exist yet."""
    both = one.exists() and other.exists()
    return one.resolve() == other.resolve() or (both and one.samefile(other))


def _refuse_output(src: Path, dst: Path, faces_json: Path | None) -> None:
    """Raise `ConfigError` where the output cannot be `dst`, or its faces cannot be written."""
    for path in (dst, faces_json):
        if path is not None:
            refuse_unwritable(path)
    if _same_file(dst, src):
        raise ConfigError(f"{dst} is the input itself: choose another output")
    if faces_json is not None:
        for what, other in (("input", src), ("output", dst)):
            if _same_file(faces_json, other):
                raise ConfigError(f"{faces_json} is the {what} itself: name another file of faces")


def _version(path: Path) -> tuple[int, int, int] | None:
    """What is another when a file has been written or replaced; None: it is gone."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def _refuse_faces(found: Faces, src: Path) -> None:
    """Raise where a box given by hand covers nothing, or faces are required and there are none."""
    useless = found.useless_boxes()
    if useless:
        raise ConfigError(
            f"boxes given by hand cover nothing of {src}, {len(found.times)} frames of "
            f"{found.width}x{found.height}: {'; '.join(useless)}; nothing was written"
        )
    if found.settings.required and not len(found):
        raise NoFacesError(f"no face was found in {src}: nothing was written")


@contextmanager
def _painting(
    anonymizer: "Anonymizer | None",
    found: Faces | None,
    src: Path,
    device: "torch.device | str",
) -> Iterator[Paint]:
    """What anonymizes the frames of a source: in its faces, or all of them."""
    if anonymizer is None:
        assert found is not None
        yield FacesOnly(found, src)
        return
    from unseen.deploy.paint import WholeFrames, evaluating, on_faces

    with evaluating(anonymizer, device):
        if found is None:
            yield WholeFrames(anonymizer, src, device)
        else:
            yield FacesOnly(found, src, on_faces(anonymizer, device), anonymizer.least_side)


def anonymize_video(
    src: Path | str,
    dst: Path | str,
    anonymizer: "Anonymizer | None" = None,
    *,
    codec: str | None = None,
    chunk: int = 16,
    progress: Callable[[int, int | None], None] | None = None,
    keep_audio: bool = False,
    device: "torch.device | str" = "cpu",
    region: Region | None = None,
    faces: FaceSettings | None = None,
    faces_json: Path | str | None = None,
) -> Applied:
    """Anonymize a video file.

    Frames are streamed in flat memory; size, frame times (variable rates too) and pixel aspect
    stay, the picture is written upright. With a `working_size` the frames are anonymized at it, and
    the output is enlarged to the source's size; with a `frame_rate` that is much lower than the
    source's, anonymized frames are repeated (`WholeFrames`). Sound and all metadata are dropped.

    Where only faces are anonymized, the file is read twice: first to find and to follow them.

    Args:
        src: the video; mp4, mov, mkv, webm, avi, mpg or ts.
        dst: mp4, mov or mkv; an existing file is replaced, at the very end.
        anonymizer: set to evaluation mode meanwhile, and moved to `device`. None: faces become
            black, as with `mask`.
        codec: `h264`, `h264:crf=N`, `h264-fast`, `h264-fast:crf=N` or `lossless`. None:
            `h264:crf=23` for whole frames, `h264-fast:crf=20` where only faces are anonymized.
        chunk: frames for one step; fewer are taken where they are large.
        progress: called with the frames done and their number (None: not known). Faces are looked
            for in all frames before: these count too.
        keep_audio: copy the sound as it is: voices identify people.
        device: where the anonymizer runs.
        region: `frame` or `faces`; None: faces where there is no anonymizer, or one that needs
            face boxes, whole frames otherwise.
        faces: how faces are found, and what is covered of them.
        faces_json: where to write the faces that were found.

    Raises:
        ConfigError: settings that fit no video, or `dst` is `src`, or `faces_json` one of them, or
            a box given by hand that lies in none of the frames.
        NoFacesError: faces are required, and there are none.
        VideoError: the source is missing or broken, the anonymizer fails or returns anything but
            values in [0, 1] of the same shape, or the output cannot be written. `dst` is then as
            it was before.
    """
    src, dst, faces_json = Path(src), Path(dst), _path(faces_json)
    region = refuse_unusable(anonymizer, region, codec, chunk, faces, faces_json)
    _refuse_output(src, dst, faces_json)
    begin = time.perf_counter()
    info, version = probe(src), _version(src)
    size = max(1, min(chunk, _PIXELS // (info.height * info.width)))
    # Files that do not tell how long their last frame is shown: as long as the average frame.
    usual = round(1 / (info.rate * info.time_base))
    output = VideoWriter(  # what does not fit it is said before faces are looked for
        dst,
        info.width,
        info.height,
        info.time_base,
        codec=codec or _CODECS[region],
        rate=info.rate,
        pixel_aspect=info.pixel_aspect,
        audio=src if keep_audio else None,
    )
    found: Faces | None = None
    before, total = 0, info.frames
    if region == "faces":
        total = total and 2 * total
        found = find_faces(
            src, faces, progress=progress and (lambda done, _: progress(done, total))
        )
        _refuse_faces(found, src)
        before = len(found.times)
    with _painting(anonymizer, found, src, device) as paint, output as writer:
        frames = ahead(read_frames(src), size)
        while stretch := list(islice(frames, size)):
            times = [float(frame.time) for frame in stretch]
            images = paint([frame.image for frame in stretch], times, writer.frames)
            for frame, image in zip(stretch, images, strict=True):
                writer.write(image, frame.pts, frame.duration or usual)
            if progress is not None:
                progress(before + writer.frames, total)
        count = writer.frames
        if found is not None and (count != before or _version(src) != version):
            raise VideoError(f"{src} changed while it was anonymized: do not touch it meanwhile")
    if found is not None and faces_json is not None:
        found.write(faces_json)
    seconds = time.perf_counter() - begin
    shown = None if found is None else len(found)
    return Applied(src, dst, count, info.width, info.height, seconds, shown, info.streams)


def anonymize_picture(
    src: Path,
    dst: Path,
    anonymizer: "Anonymizer | None" = None,
    *,
    device: "torch.device | str" = "cpu",
    region: Region | None = None,
    faces: FaceSettings | None = None,
    faces_json: Path | None = None,
) -> Applied:
    """Anonymize a picture file, as `anonymize_video` does with a video of one frame.

    It is written upright, as 8-bit RGB and without metadata, in the format of `dst`'s suffix.

    Args:
        src: the picture; jpg, png, webp, bmp, tif or gif.
        dst: of the same kinds; an existing file is replaced, at the very end.
        anonymizer: as in `anonymize_video`, like all the others.
        device: see there.
        region: see there.
        faces: see there.
        faces_json: see there.

    Raises:
        ConfigError: settings that fit no picture, or `dst` is `src`, or `faces_json` one of them,
            or a box given by hand that lies outside of it.
        DataError: the source is missing or broken, or the output cannot be written.
        NoFacesError: faces are required, and there are none.
    """
    region = refuse_unusable(anonymizer, region, "h264", 1, faces, faces_json)
    _refuse_output(src, dst, faces_json)
    begin = time.perf_counter()
    image = read_picture(src)
    found: Faces | None = None
    if region == "faces":
        found = find_faces_in(image, src, faces or FaceSettings())
        _refuse_faces(found, src)
    with _painting(anonymizer, found, src, device) as paint:
        write_picture(dst, paint([image], [0.0], 0)[0])
    if found is not None and faces_json is not None:
        found.write(faces_json)
    height, width = image.shape[:2]
    seconds = time.perf_counter() - begin
    return Applied(src, dst, 1, width, height, seconds, None if found is None else len(found))


def anonymize_paths(
    inputs: Sequence[Path | str],
    out: Path | str | None,
    anonymizer: "Anonymizer | None" = None,
    *,
    codec: str | None = None,
    chunk: int = 16,
    progress: Callable[[Path, int, int | None], None] | None = None,
    finished: Callable[[Applied], None] | None = None,
    keep_audio: bool = False,
    device: "torch.device | str" = "cpu",
    region: Region | None = None,
    faces: FaceSettings | None = None,
    faces_json: Path | str | None = None,
) -> list[Applied]:
    """Anonymize video files, pictures and folders of them, each as `anonymize_video` does.

    Folders are searched for videos and pictures, also below; hidden files and `NAME.anonymized.*`
    are passed over. With one file as input `out` may be a file's name; otherwise it is a folder, in
    which files keep their names and sub-folders. Without `out`, `NAME.anonymized.mp4` is written
    beside each video. `.mp4`, `.mov`, `.mkv` and the formats of pictures are kept as they are; all
    else becomes `.mp4`, since AVI stores no times and WebM no H.264.

    Args:
        inputs: files and folders.
        out: see above.
        anonymizer: as in `anonymize_video`, like `codec`, `chunk`, `keep_audio`, `device`, `region`
            and `faces`.
        codec: see there.
        chunk: see there.
        progress: called with the source, the frames done and their number (None: not known).
        finished: called with each file that is done, whatever becomes of the others.
        keep_audio: see there.
        device: see there.
        region: see there.
        faces: see there.
        faces_json: as there with one file as input; otherwise a folder, in which each file's faces
            are written in its sub-folder, under its output's name and `.json`.

    Raises:
        ConfigError: settings that fit no video.
        DataError: before any work: faults of the inputs, every one. At the end: the files that
            failed, every one; the others are done. Of a single file, its own error.
        NoFacesError: at the end, where a lack of faces was all that failed.
    """
    paths, out, faces_json = [Path(name) for name in inputs], _path(out), _path(faces_json)
    faces, jobs = faces or FaceSettings(), []
    single = len(paths) == 1 and not paths[0].is_dir()
    faults = Faults()
    with faults.collected():
        jobs = plan(paths, out, faces_json)
    with faults.collected():
        region = refuse_unusable(anonymizer, region, codec, chunk, faces, faces_json)
    with faults.collected():
        of_video = {"codec": codec, "keep_audio": keep_audio, "detect_every": faces.every}
        given = [name for name, value in of_video.items() if value]
        if jobs and given and all(job.is_picture for job in jobs):
            raise ConfigError(f"{', '.join(given)}: of video, and there are pictures alone")
    with faults.collected():
        if faces_json is not None:
            refuse_unwritable(faces_json if single else faces_json / "faces.json")
    with faults.collected():
        if region == "faces":
            for picture in {job.is_picture for job in jobs}:  # what lacks is said before any work
                _ = faces.picture_detector if picture else faces.video_detector
    faults.refuse("nothing was done, for several reasons:")
    done: list[Applied] = []
    failed: list[UnseenError] = []
    for job in jobs:
        try:
            if job.is_picture:
                one = anonymize_picture(
                    job.source,
                    job.output,
                    anonymizer,
                    device=device,
                    region=region,
                    faces=faces,
                    faces_json=job.faces,
                )
            else:
                one = anonymize_video(
                    job.source,
                    job.output,
                    anonymizer,
                    codec=codec,
                    chunk=chunk,
                    progress=progress and partial(progress, job.source),
                    keep_audio=keep_audio,
                    device=device,
                    region=region,
                    faces=faces,
                    faces_json=job.faces,
                )
        except UnseenError as error:
            failed.append(copy(error))  # which does not keep in memory what it failed with
        except OSError as error:
            failed.append(DataError(f"{job.source}: {error}"))
        else:
            done.append(one)
            if finished is not None:
                finished(one)
    if len(jobs) == 1 and failed:
        raise failed[0]
    if failed:
        only_faces = all(isinstance(error, NoFacesError) for error in failed)
        rest = ", the others are done:" if done else ":"
        summary = f"{len(failed)} of {len(jobs)} files failed{rest}"
        if only_faces:
            raise NoFacesError("\n".join([summary, *(f"  - {error}" for error in failed)]))
        raise DataError(summary, [str(error) for error in failed])
    return done
