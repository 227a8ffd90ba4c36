"""Clips as images that a page can hold: short loops and strips of frames, as data URIs."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from unseen.evaluation.results import Previews

SHOWN_SIDE = 192
LONGEST_LOOP = 48
STRIP_FRAMES = 6


@dataclass(frozen=True)
class Still:
    """An image for an `<img>`: a data URI, and the size in CSS pixels at which it is shown."""

    uri: str
    width: int
    height: int
    label: str


@dataclass(frozen=True)
class Example:
    """One clip in every form that there is of it."""

    caption: str
    loops: tuple[Still, ...]
    strips: tuple[Still, ...]


def data_uri(kind: str, content: bytes) -> str:
    """`content` of the media type `kind` as a URI that needs no file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def examples(previews: Previews, fps: float, codec: str | None, count: int) -> list[Example]:
    """The first `count` clips as loops, the first of them as strips too.

    Frames up to 96 pixels are stored as they are, without loss, and enlarged by the browser pixel
    by pixel: what is seen is what an attacker gets. Larger ones are scaled down with Lanczos.
    """
    forms = [
        ("raw", previews.before),
        ("anonymized", previews.after),
        (f"read back from {codec}" if codec else "read back from the codec", previews.after_codec),
        ("reconstructed by an attacker", previews.reconstructed),
    ]
    present = [(label, clips) for label, clips in forms if clips is not None]
    return [
        Example(
            previews.captions[index],
            tuple(loop(clips[index], fps, label) for label, clips in present),
            tuple(strip(clips[index], label) for label, clips in present) if index == 0 else (),
        )
        for index in range(min(count, len(previews.after)))
    ]


def loop(clip: npt.NDArray[np.uint8], fps: float, label: str) -> Still:
    """A clip `(time, height, width, 3)` as an endless animated WebP, its first 48 frames."""
    frames, (width, height) = _frames(clip[:LONGEST_LOOP])
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=max(20, round(1000 / fps)),
        loop=0,
        lossless=_lossless(clip),
        quality=80,
        method=4,
    )
    return Still(data_uri("image/webp", buffer.getvalue()), width, height, label)


def strip(clip: npt.NDArray[np.uint8], label: str) -> Still:
    """Frames of a clip `(time, height, width, 3)`, evenly spaced, side by side."""
    indices = np.linspace(0, len(clip) - 1, min(STRIP_FRAMES, len(clip))).round().astype(int)
    frames, (width, _) = _frames(clip[indices])
    gap = max(1, round(2 * frames[0].width / width))
    sheet = Image.new(
        "RGB", (len(frames) * (frames[0].width + gap) - gap, frames[0].height), "white"
    )
    for at, frame in enumerate(frames):
        sheet.paste(frame, (at * (frame.width + gap), 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", lossless=_lossless(clip), quality=85, method=4)
    scale = width / frames[0].width
    return Still(
        data_uri("image/webp", buffer.getvalue()),
        round(sheet.width * scale),
        round(sheet.height * scale),
        label,
    )


def _lossless(clip: npt.NDArray[np.uint8]) -> bool:
    return bool(min(clip.shape[1:3]) <= SHOWN_SIDE // 2)


def _frames(clip: npt.NDArray[np.uint8]) -> tuple[list[Image.Image], tuple[int, int]]:
    """The frames to store, and the size at which to show them."""
    height, width = clip.shape[1:3]
    images = [Image.fromarray(np.ascontiguousarray(frame)) for frame in clip]
    if _lossless(clip):
        factor = SHOWN_SIDE // min(height, width)
        return images, (factor * width, factor * height)
    scale = min(1.0, SHOWN_SIDE / min(height, width))
    shown = (round(width * scale), round(height * scale))
    return [image.resize(shown, Image.Resampling.LANCZOS) for image in images], shown
