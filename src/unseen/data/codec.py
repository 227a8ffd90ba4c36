"""Between RGB images and coded frames: the codecs on offer, colours, and a round trip in memory.

The encoder is x264 (GPL), which PyAV's wheels carry. Colours are BT.709, limited range, tagged.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8

from unseen.errors import ConfigError, VideoError
from unseen.registry import Spec, nearest

Image = UInt8[np.ndarray, "height width 3"]
# As `unseen.types.StoredClips`, whose module needs PyTorch.
_Clips = UInt8[np.ndarray, "clips time height width 3"]

_BT709 = 1
_UNTAGGED = 2
# x264's AVX-512 code gives small videos another result in each run; with these instructions, which
# every x86 machine that runs PyTorch has, it is one result everywhere, and no slower.
_X264 = "asm=MMX2,SSE2,SSE2Fast,SSSE3,SSE4.2"
_PRESETS = {"h264": "medium", "h264-fast": "veryfast"}
# Full chroma and exact rounding both ways: grey stays grey, and a gradient within 3 levels.
_SCALING = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
# In less than a tenth of the time: a level or two too dark, and off by ten at most.
_ROUGH = Interpolation.POINT


@dataclass(frozen=True)
class Codec:
    """How to encode: FFmpeg's encoder, its pixel format and its options."""

    encoder: str
    pixels: str
    options: dict[str, str]

    @classmethod
    def parse(cls, text: str, width: int, height: int) -> "Codec":
        """The codec that `text` names, for frames of this size.

        `h264` or `h264:crf=N` (0 best, 51 smallest, 23 by default): preset medium, 4:2:0, which
        every player takes. `h264-fast` is the same with preset veryfast: half the work, and at the
        same crf lower quality. 4:2:0 has one colour sample for 2x2 pixels, so an odd width or
        height is coded as 4:4:4 instead, which browsers on phones may not play.
        `lossless`: RGB at crf 0, exact to the bit, large.

        Raises:
            ConfigError: an unknown codec or option.
        """
        spec = Spec.parse(text)
        if spec.name == "lossless":
            spec.no_option()
            options = {"crf": "0", "preset": "medium", "x264-params": _X264}
            return cls("libx264rgb", "rgb24", options)
        if spec.name not in _PRESETS:
            raise ConfigError(
                f"unknown codec '{text}'{nearest(spec.name, (*_PRESETS, 'lossless'))}; "
                "choose from: h264, h264:crf=N (0 to 51), h264-fast, h264-fast:crf=N, lossless"
            )
        key, _, value = (spec.option or "crf=23").partition("=")
        try:
            crf = float(value)
        except ValueError:
            crf = -1.0
        if key != "crf" or not 0 <= crf <= 51:
            raise ConfigError(
                f"codec '{text}': the option is crf=N with N from 0 (best) to 51 (smallest), "
                "as in 'h264:crf=23'"
            )
        pixels = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
        # swscale averages the colour of two columns, so its sample is tagged as between them.
        params = f"chromaloc=1:{_X264}"
        options = {"crf": f"{crf:g}", "preset": _PRESETS[spec.name], "x264-params": params}
        return cls("libx264", pixels, options)

    def set_up(self, encoder: Any, width: int, height: int, time_base: Fraction) -> None:
        """Prepare an encoder's context before it is opened."""
        encoder.width, encoder.height, encoder.pix_fmt = width, height, self.pixels
        encoder.time_base = time_base
        encoder.options = self.options
        # PyAV asks for slices, of which two cores code a third fewer, into a larger file.
        encoder.thread_type = "FRAME"
        encoder.flags |= Flags.frame_duration
        if self.pixels != "rgb24":
            encoder.colorspace = encoder.color_primaries = encoder.color_trc = _BT709
            encoder.color_range = ColorRange.MPEG


class ToCoded:
    """RGB images as frames in an encoder's pixel format."""

    def __init__(self, codec: Codec, threads: int = 0) -> None:
        self._pixels = codec.pixels
        self._threads = threads
        self._reformatter = VideoReformatter()

    def __call__(self, image: Image) -> Any:
        """A new frame, still without a time."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
        if self._pixels == "rgb24":
            return frame
        return self._reformatter.reformat(
            frame,
            format=self._pixels,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=_SCALING,
            threads=self._threads,
        )


class ToRGB:
    """Decoded frames as RGB images, whatever colours they are stored in; on white where they are
    transparent: what that hides, as something erased, is not in them.

    Args:
        threads: 0: as many as there are cores.
        rough: in less than a tenth of the time, with colours a few levels off: to look at only.
    """

    def __init__(self, threads: int = 0, *, rough: bool = False) -> None:
        self._threads = threads
        self._interpolation = _ROUGH if rough else _SCALING
        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> Image:
        """`uint8 (height, width, 3)`, as stored: not yet turned upright."""
        # Untagged colours: players take BT.709 for high definition, BT.601 (the default) below.
        untagged = frame.colorspace == _UNTAGGED and (frame.width >= 1280 or frame.height > 576)
        # A palette may hold alpha, which its format does not tell.
        parts = frame.format.components
        transparent = frame.format.name == "pal8" or any(part.is_alpha for part in parts)
        rgb = self._reformatter.reformat(
            frame,
            format="rgba" if transparent else "rgb24",
            src_colorspace=Colorspace.ITU709 if untagged else None,
            dst_color_range=ColorRange.JPEG,
            interpolation=self._interpolation,
            threads=self._threads,
        )
        image: Image = rgb.to_ndarray()
        return _on_white(image) if transparent else image


def _on_white(image: UInt8[np.ndarray, "height width 4"]) -> Image:
    """RGB of RGBA."""
    cover = image[..., 3:].astype(np.uint16)
    mixed = image[..., :3] * cover + 255 * (255 - cover)
    return ((mixed + 127) // 255).astype(np.uint8)


@dataclass(frozen=True)
class RoundTrip:
    """What came back.

    Attributes:
        clips: `uint8 (clips, time, height, width, 3)`, as decoded.
        bytes: size of all coded streams, without a container; times 8 and divided by the clips'
            seconds: bits per second.
    """

    clips: _Clips
    bytes: int


def frame_rate(fps: Fraction | float) -> Fraction:
    """A rate that every container can say; of clips of many hours, one frame in 1001 seconds."""
    return max(Fraction(fps).limit_denominator(1001), Fraction(1, 1001))


def codec_round_trip(clips: _Clips, codec: str, fps: Fraction | float) -> RoundTrip:
    """Encode each clip as a video of its own, in memory, and read it back.

    One thread, so that the result does not depend on the number of cores.

    Args:
        clips: `uint8 (clips, time, height, width, 3)`, RGB.
        codec: as in `Codec.parse`.
        fps: frames per second; x264 spends bits by time.

    Raises:
        ConfigError: an unknown codec.
        VideoError: FFmpeg cannot code these clips.
    """
    height, width = clips.shape[2:4]
    chosen = Codec.parse(codec, width, height)
    rate = frame_rate(fps)
    to_coded, to_rgb = ToCoded(chosen, threads=1), ToRGB(threads=1)
    result = np.empty(clips.shape, np.uint8)
    size = 0
    for source, target in zip(clips, result, strict=True):
        try:
            encoder: Any = av.CodecContext.create(chosen.encoder, "w")
            chosen.set_up(encoder, width, height, 1 / rate)
            encoder.framerate = rate
            encoder.thread_count = 1
            packets = []
            for pts, image in enumerate(source):
                frame = to_coded(image)
                frame.pts, frame.time_base = pts, 1 / rate
                packets += encoder.encode(frame)
            packets += encoder.encode(None)
            decoder: Any = av.CodecContext.create("h264", "r")
            decoder.thread_count = 1
            frames = [frame for packet in packets for frame in decoder.decode(packet)]
            frames += decoder.decode(None)
        except (av.FFmpegError, OSError) as error:
            raise VideoError(f"cannot code clips of {width}x{height} as '{codec}'") from error
        if len(frames) != len(source):
            raise VideoError(
                f"codec '{codec}' returned {len(frames)} of {len(source)} frames: try another codec"
            )
        for index, frame in enumerate(frames):
            target[index] = to_rgb(frame)
        size += sum(packet.size for packet in packets)
    return RoundTrip(result, size)
