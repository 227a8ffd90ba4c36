"""Video files in and out: streamed, upright, exact in time, and either whole or an error.

Decoding and encoding are FFmpeg's, through PyAV, whose wheels carry the GPL encoder x264.
What is and what is not noticed in damaged files stands in `unseen.data.container`.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from unseen.data.codec import Codec, Image, ToCoded, ToRGB
from unseen.data.container import decoded, faults, moving_pictures, opened, refuse_short
from unseen.errors import ConfigError, VideoError
from unseen.files import written_whole

# Containers that hold H.264 with exact times; AVI has no times, and WebM no H.264.
WRITABLE = (".mp4", ".mov", ".mkv")


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        path: the file.
        width, height: pixels, upright: after the display rotation.
        rotation: degrees, counter-clockwise, by which the stored frames are turned to stand
            upright: 0, 90, 180 or 270. Frames are read upright, so nobody needs to turn them.
        rate: average frames per second.
        frames: how many frames the file declares, or None where it does not.
        pixel_aspect: width of an upright pixel divided by its height.
        time_base: seconds for one unit of the frames' `pts`.
        streams: how many moving pictures it holds; all else is of the first.
    """

    path: Path
    width: int
    height: int
    rotation: int
    rate: Fraction
    frames: int | None
    pixel_aspect: Fraction
    time_base: Fraction
    streams: int = 1


@dataclass(frozen=True)
class VideoFrame:
    """One frame: `image` is `uint8 (height, width, 3)`, RGB, upright.

    It is shown at `pts * time_base` seconds, for `duration * time_base` seconds (0: not known).
    """

    image: Image
    pts: int
    duration: int
    time_base: Fraction

    @property
    def time(self) -> Fraction:
        """Seconds from the start of the file's clock."""
        return self.pts * self.time_base


class _UprightRGB:
    """Decoded frames as upright RGB images of one size."""

    def __init__(self, path: Path, *, rough: bool = False) -> None:
        self.path = path
        self._to_rgb = ToRGB(rough=rough)
        self._size: tuple[int, int] | None = None
        self._rotation: int | None = None
        self._matrix: list[list[int]] = []

    def __call__(self, frame: Any) -> Image:
        size = (frame.width, frame.height)
        if self._size not in (None, size):
            raise VideoError(
                f"{self.path} changes its frame size from {self._size} to {size}: split it there"
            )
        self._size = size
        if frame.rotation != self._rotation:
            # Not for each frame: PyAV's side data refers back to the frame, which then stays in
            # memory until the garbage collector runs.
            self._rotation = frame.rotation
            data = frame.side_data.get("DISPLAYMATRIX")
            matrix = np.eye(3, dtype=np.int32) if data is None else np.frombuffer(data, np.int32)
            self._matrix = matrix.reshape(3, 3).tolist()
        return _upright(self._to_rgb(frame), self._matrix)


def _upright(
    image: Image, matrix: list[list[int]]
) -> UInt8[np.ndarray, "upright_height upright_width 3"]:
    """Turn or mirror as the display matrix says, which PyAV leaves undone."""
    (a, b, _), (c, d, _), _ = matrix
    turned = abs(b) > abs(a)
    if turned:
        image = image.transpose(1, 0, 2)
    across, down = (c, b) if turned else (a, d)
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


def probe(path: Path) -> VideoInfo:
    """What a video file says of itself; its first frame is decoded to be sure.

    Raises:
        VideoError: missing, empty, not a video, cut off, or damaged in its first frame.
    """
    with opened(path) as (container, stream):
        index = stream.index_entries
        if "mp4" in container.format.name:
            frames = sum(not entry.is_discard for entry in index)
        else:
            frames = stream.frames
        aspect = stream.sample_aspect_ratio or Fraction(1)
        rate = stream.average_rate or stream.guessed_rate
        frame = next(decoded(path, container, stream))
        rotation = round(frame.rotation / 90) % 4 * 90
        turned = rotation in (90, 270)
        return VideoInfo(
            path=path,
            width=frame.height if turned else frame.width,
            height=frame.width if turned else frame.height,
            rotation=rotation,
            rate=Fraction(rate) if rate else Fraction(25),
            frames=frames or None,
            pixel_aspect=1 / aspect if turned else aspect,
            time_base=frame.time_base,
            streams=len(moving_pictures(container)),
        )


def read_frames(path: Path, *, rough: bool = False) -> Iterator[VideoFrame]:
    """Stream a video's frames in the order of presentation, upright, in flat memory.

    Args:
        path: the file.
        rough: colours a few levels off, in less than a tenth of the time: to look at, not to keep.

    Raises:
        VideoError: missing, empty or not a video; at the first damaged frame; and at the end
            where the file is shorter than it declares.
    """
    with opened(path) as (container, stream):
        to_rgb = _UprightRGB(path, rough=rough)
        for frame in decoded(path, container, stream):
            yield VideoFrame(to_rgb(frame), frame.pts, frame.duration or 0, frame.time_base)


def ahead(frames: Iterator[VideoFrame], count: int = 1) -> Iterator[VideoFrame]:
    """The same frames; so many are read in another thread while the one before is worked on."""
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, frames, None) for _ in range(count))
        try:
            while (frame := coming.popleft().result()) is not None:
                coming.append(thread.submit(next, frames, None))
                yield frame
        finally:
            thread.shutdown(wait=False, cancel_futures=True)


class VideoWriter:
    """A video file that appears when the `with` block ends well, and never otherwise.

    Frame times are kept exactly in mp4 and mov; Matroska stores whole milliseconds.

    Args:
        path: mp4, mov or mkv, by its suffix.
        width, height: pixels; any size, odd ones too (see `Codec.parse`).
        time_base: seconds for one unit of `pts`.
        codec: `h264`, `h264:crf=N` or `lossless`.
        rate: average frames per second, by which the encoder spends its bits.
        pixel_aspect: width of a pixel divided by its height.
        audio: a video file whose first audio stream is copied, packet by packet; None: no sound.
            No other metadata is ever written.

    Raises:
        ConfigError: an unknown codec or suffix.
        VideoError: the file cannot be written, or a frame does not fit.
    """

    # Not typed: PyAV's stubs leave open which kind of stream `add_stream` returns.
    _container: Any
    _stream: Any

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        time_base: Fraction,
        *,
        codec: str = "h264:crf=23",
        rate: Fraction | None = None,
        pixel_aspect: Fraction = Fraction(1),
        audio: Path | None = None,
    ) -> None:
        if path.suffix.lower() not in WRITABLE:
            raise ConfigError(f"cannot write {path}: the name must end in {', '.join(WRITABLE)}")
        self.path = path
        self.size = (width, height)
        self.time_base = time_base
        self.frames = 0
        self._codec = Codec.parse(codec, width, height)
        self._rate = (rate or 1 / time_base).limit_denominator(100_000)
        self._pixel_aspect = pixel_aspect
        self._audio = audio
        self._to_coded = ToCoded(self._codec)
        self._last: int | None = None
        self._packets: Iterator[Any] = iter(())

    def __enter__(self) -> "VideoWriter":
        self._block = self._file()
        with faults("write", self.path):
            self._block.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._block.__exit__(kind, error, trace)
            return
        with faults("write", self.path):
            self._block.__exit__(None, None, None)

    def write(self, image: Image, pts: int, duration: int = 0) -> None:
        """Append an RGB image, shown from `pts` for `duration` (0: until the next frame).

        Raises:
            VideoError: the wrong size, a time that is not later than the last, or a full disk.
        """
        width, height = self.size
        if image.dtype != np.uint8 or image.shape != (height, width, 3):
            raise VideoError(
                f"frame {self.frames} for {self.path} is {image.dtype} {image.shape}: it must be "
                f"uint8 {(height, width, 3)}"
            )
        if self._last is not None and pts <= self._last:
            raise VideoError(
                f"frame {self.frames} for {self.path} is at {pts}, not after the last one "
                f"({self._last}): give increasing times"
            )
        with faults("write", self.path):
            frame = self._to_coded(image)
            frame.pts, frame.time_base, frame.duration = pts, self.time_base, duration
            self._container.mux(self._stream.encode(frame))
            self._copy_audio(pts * self.time_base)
        self._last = pts
        self.frames += 1

    @contextmanager
    def _file(self) -> Iterator[None]:
        with ExitStack() as stack:
            temporary = stack.enter_context(written_whole(self.path))
            # Else mp4 and mov round the time of the first frame to milliseconds.
            exact = {"movie_timescale": str(self.time_base.denominator)}
            is_mov = temporary.suffix.lower() != ".mkv"
            self._container = av.open(
                f"file:{temporary}", "w", container_options=exact if is_mov else {}
            )
            try:
                self._stream = self._container.add_stream(self._codec.encoder, rate=self._rate)
                self._stream.time_base = self.time_base
                self._codec.set_up(self._stream.codec_context, *self.size, self.time_base)
                self._stream.codec_context.sample_aspect_ratio = self._pixel_aspect
                if self._audio is not None:
                    self._packets = self._audio_packets(self._audio, stack)
                self._next = next(self._packets, None)
                yield
                if not self.frames:
                    raise VideoError(f"no frames for {self.path}: a video needs at least one")
                self._container.mux(self._stream.encode(None))
                self._copy_audio(None)
                self._container.close()
            except BaseException:
                # What was raised matters; what closing a file that goes away says does not.
                with suppress(av.FFmpegError, OSError):
                    self._container.close()
                raise
            self._refuse_incomplete(temporary)

    def _audio_packets(self, source: Path, stack: ExitStack) -> Iterator[Any]:
        """The packets of the first audio stream, ready for the output; none where it has none."""
        container, _ = stack.enter_context(opened(source))
        if not container.streams.audio:
            return iter(())
        stream = container.streams.audio[0]
        try:
            copy = self._container.add_stream_from_template(stream)
        except ValueError as error:
            raise VideoError(
                f"the sound of {source} ({stream.codec_context.name}) does not fit into "
                f"{self.path.name}: write to .mkv, or leave the sound out"
            ) from error

        if stream.codec_context.name == "vorbis":
            headers = _without_comments(stream.codec_context.extradata or b"")
            if headers is None:
                raise VideoError(f"the sound of {source} is damaged: leave it out")
            copy.codec_context.extradata = headers

        def packets() -> Iterator[Any]:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise VideoError(f"the sound of {source} is damaged: leave it out")
                # An edit list may leave sound out that is still in the file.
                if packet.size and not packet.is_discard:
                    packet.stream = copy
                    yield packet

        return packets()

    def _copy_audio(self, until: Fraction | None) -> None:
        """Copy the sound up to a time in seconds; to its end without one."""
        while self._next is not None and (
            until is None or self._next.dts * self._next.time_base <= until
        ):
            self._container.mux(self._next)
            self._next = next(self._packets, None)

    def _refuse_incomplete(self, temporary: Path) -> None:
        """Read the written packets back: closing a file can fail in silence on a full disk."""
        try:
            with opened(temporary) as (container, stream):
                refuse_short(temporary, container, stream)
                count = sum(packet.size > 0 for packet in container.demux(stream))
        except VideoError as error:
            raise VideoError(
                f"cannot write {self.path}: it came out broken; free disk space"
            ) from error
        if count != self.frames:
            raise VideoError(
                f"cannot write {self.path}: {count} of {self.frames} frames came out; "
                "free disk space"
            )


def _without_comments(headers: bytes) -> bytes | None:
    """The three headers of Vorbis, of which the second holds comments: a title, an artist.

    They are laced as in Matroska: a 2, the sizes of the first two in bytes of up to 255, and all.
    None: they are damaged.
    """
    sizes, at = [0, 0], 1
    for which in (0, 1):
        while headers[at : at + 1] == b"\xff":
            sizes[which], at = sizes[which] + 255, at + 1
        sizes[which], at = sizes[which] + int.from_bytes(headers[at : at + 1]), at + 1
    first, setup = headers[at : at + sizes[0]], headers[at + sum(sizes) :]
    begins = headers[:1] == b"\2", first[:7] == b"\1vorbis", setup[:7] == b"\5vorbis"
    if not all(begins) or len(first) != 30:
        return None
    comments = b"\3vorbis" + bytes(8) + b"\1"  # nobody's program, no comment
    return bytes([2, len(first), len(comments)]) + first + comments + setup


def write_video(
    path: Path, images: Iterable[Image], rate: Fraction, codec: str = "h264:crf=23"
) -> None:
    """Write images of one size, `uint8 (height, width, 3)`, at a constant rate.

    Args:
        path: mp4, mov or mkv, by its suffix.
        images: the frames, taken one at a time.
        rate: frames per second.
        codec: as in `VideoWriter`.

    Raises:
        ConfigError: an unknown codec or suffix.
        VideoError: no frames, frames of several sizes, or the file cannot be written.
    """
    remaining = iter(images)
    first = next(remaining, None)
    if first is None:
        raise VideoError(f"no frames for {path}: a video needs at least one")
    height, width = first.shape[:2]
    with VideoWriter(path, width, height, 1 / Fraction(rate), codec=codec) as writer:
        for pts, image in enumerate(chain([first], remaining)):
            writer.write(image, pts, 1)
