"""Videos for tests, written with PyAV directly: an oracle beside the writer of the package."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from unseen.data.video import read_frames

Images = npt.NDArray[np.uint8]


def noise(frames: int, height: int = 32, width: int = 48, seed: int = 0) -> Images:
    """Random frames: no two alike, so that an exchange or a loss shows."""
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def every_frame(path: Path) -> Images:
    """All frames of a video, as the package reads them."""
    return np.stack([frame.image for frame in read_frames(path)])


def make_video(
    path: Path,
    images: Images,
    *,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    rate: int = 25,
    codec: str = "libx264rgb",
    pixels: str = "rgb24",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    rotation: int = 0,
    mirror: bool = False,
    sound: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a video; by default exact to the bit."""
    with av.open(str(path), "w", options=container or {}) as output:
        stream: Any = output.add_stream(codec, rate=rate, options=options or {"crf": "0"})
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = pixels
        stream.time_base = stream.codec_context.time_base = time_base
        if rotation or mirror:
            stream.set_display_rotation(rotation, hflip=mirror)
        output.metadata.update(metadata or {})
        audio: Any = output.add_stream("aac", rate=8000) if sound else None
        if audio:
            tone = (np.sin(np.arange(8000) * 0.3) * 9000).astype(np.int16)
            samples = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
            samples.sample_rate = 8000
            output.mux(audio.encode(samples))
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = pts[index] if pts else index
            frame.time_base = time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if audio:
            output.mux(audio.encode(None))
    return path


def decode(path: Path) -> tuple[Images, list[Fraction]]:
    """All frames as stored (not turned upright) and their times, with PyAV alone."""
    images, times = [], []
    with av.open(str(path)) as source:
        for frame in source.decode(video=0):
            images.append(frame.to_ndarray(format="rgb24"))
            times.append(Fraction(frame.pts or 0) * (frame.time_base or 0))
    return np.stack(images), times
