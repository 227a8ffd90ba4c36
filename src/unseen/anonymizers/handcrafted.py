"""Handcrafted anonymizers: the baselines that a learned filter has to beat.

Strengths are relative: a rate of reduction, or a number of pixels or blocks that is left of the
frame's short side, never a blur of so many pixels, which would be weaker in a larger frame.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch.nn import functional as F

from unseen.anonymizers.base import Anonymizer, BoxKind, Step
from unseen.anonymizers.baselines import SUPERPIXELS, Edge, Noise, Resized, Superpixel
from unseen.boxes import enlarged
from unseen.errors import ConfigError, DataError
from unseen.registry import Registry, Spec, plain
from unseen.types import Boxes, Clips, from_frames, to_frames

BLOCKS = 8  # of `pixelate` to a side, unless told otherwise: what `blur:8` lets through

ANONYMIZERS: Registry[Callable[[Spec], Anonymizer]] = Registry("anonymizer")


class Raw(Anonymizer):
    """The video as it is: the reference point, and no protection at all."""

    name = "raw"
    removes_nothing = True

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """The same clips."""
        return Step(clips)


class Grey(Anonymizer):
    """The mean of the three channels in each of them, as Wu18's authors do on SBU."""

    name = "grey"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """Grey clips, still of three channels."""
        return Step(clips.mean(1, keepdim=True).expand_as(clips))


def _reduce_and_enlarge(
    clips: Clips, height: int, width: int, enlarge: Literal["bilinear", "nearest"]
) -> Clips:
    """Each frame averaged to `height` x `width` and back at its own size.

    Where a side is not a multiple of the reduced one, cell i of n averages all pixels that it
    touches: `floor(i * side / n)` up to `ceil((i + 1) * side / n)`.
    """
    reduced = F.adaptive_avg_pool2d(to_frames(clips), (height, width))
    enlarged = F.interpolate(reduced, clips.shape[-2:], mode=enlarge)
    # Weights that add up to one within rounding can leave [0, 1] by a rounding error.
    return from_frames(enlarged.clamp_(0.0, 1.0), len(clips))


class Downsample(Anonymizer):
    """Naive downsampling (Wu18 4.1 method 1, Wang19 4.1.2): averaged down, bilinearly back up.

    Differs from the paper: a side that the rate does not divide is reduced to the nearest whole
    number of pixels, at least one.

    Args:
        rate: how many times smaller each side becomes; 1 changes nothing.
    """

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.name = f"downsample:{rate}"
        self.rate = rate
        self.removes_nothing = rate == 1

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """Downsampled clips at their own size."""
        height, width = (max(1, round(side / self.rate)) for side in clips.shape[-2:])
        return Step(_reduce_and_enlarge(clips, height, width, "bilinear"))


class Reduce(Anonymizer):
    """Only so many pixels or blocks are left along the short side of the frame.

    `blur` follows Ren18 5.2: downsampled to n x n and bilinearly back up. `pixelate` shows the
    same cells as flat blocks.

    Differs from the paper: applied to whatever it is given, the whole frame, or the boxes of faces
    with `--region faces`; the long side keeps its proportions.

    Args:
        name: how it enlarges: `blur` smoothly, `pixelate` in blocks.
        cells: what is left of the short side.
    """

    def __init__(self, name: Literal["blur", "pixelate"], cells: int) -> None:
        super().__init__()
        self.name = f"{name}:{cells}"
        self.cells = cells
        self.least_side = cells + 1
        self.enlarge: Literal["bilinear", "nearest"] = "bilinear" if name == "blur" else "nearest"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """Blurred or pixelated clips.

        Raises:
            ConfigError: where the frame is so small that nothing would be removed.
        """
        sides = clips.shape[-2:]
        short = min(sides)
        if self.cells >= short:
            raise ConfigError(
                f"'{self.name}' would remove nothing from frames of {sides[1]}x{sides[0]} pixels; "
                f"use fewer than {short}"
            )
        height, width = (round(side * self.cells / short) for side in sides)
        return Step(_reduce_and_enlarge(clips, height, width, self.enlarge))


def checked_boxes(boxes: Boxes, clips: Clips, name: str) -> Boxes:
    """The boxes, unless one of them would silently mask nothing or the wrong frame.

    Raises:
        DataError: for boxes that do not belong to the clips, or are broken.
    """
    if boxes.ndim != 4 or boxes.shape[:2] != (clips.shape[0], clips.shape[2]):
        raise DataError(
            f"'{name}' needs boxes of shape (batch, time, boxes, 4) for clips of shape "
            f"{tuple(clips.shape)}, got {tuple(boxes.shape)}"
        )
    absent = boxes.isnan().all(-1)
    usable = boxes.isfinite().all(-1) & (boxes[..., 0] <= boxes[..., 2])
    usable &= boxes[..., 1] <= boxes[..., 3]
    broken = ~(absent | usable)
    if broken.any():
        where = broken.nonzero()[0].tolist()
        raise DataError(
            f"'{name}': {int(broken.sum())} boxes are not (x0, y0, x1, y1) with x0 <= x1 and "
            f"y0 <= y1, nor NaN throughout; the first: clip {where[0]}, frame {where[1]}, "
            f"{boxes[tuple(where)].tolist()}"
        )
    return boxes.to(clips)


class Black(Anonymizer):
    """Black, whatever comes in: inside the boxes of faces, Ren18's "masked" (5.2, method 3).

    Nothing is kept of what it covers, not even a mean colour.
    """

    name = "mask"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """Black clips."""
        return Step(torch.zeros_like(clips))


class Mask(Anonymizer):
    """Boxes filled with black: faces (Ren18 5.2; Wu18 method 4) or bodies (Wu18 method 5).

    A pixel is black as soon as a box touches it. Face boxes are enlarged 1.6 times about their
    centre, as in Ren18 5.2, so that they hold most of the head. Where there is no box (NaN),
    nothing is masked.

    Args:
        kind: which boxes it is given.
    """

    def __init__(self, kind: BoxKind) -> None:
        super().__init__()
        self.name = f"mask-{kind}"
        self.needs_boxes = kind

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """Masked clips.

        Raises:
            ConfigError: without boxes.
            DataError: for boxes that do not belong to the clips, or are broken.
        """
        if boxes is None:
            raise ConfigError(
                f"'{self.name}' needs {self.needs_boxes} boxes, and there are none here; use data "
                "that has them, or an anonymizer of whole frames such as 'blur:8'"
            )
        boxes = checked_boxes(boxes, clips, self.name)
        if self.needs_boxes == "face":
            boxes = enlarged(boxes)
        low, high = boxes[..., :2], boxes[..., 2:]
        columns = _touched(low[..., 0], high[..., 0], clips.shape[-1])
        rows = _touched(low[..., 1], high[..., 1], clips.shape[-2])
        masked = (rows[..., :, None] & columns[..., None, :]).any(2)
        return Step(clips.masked_fill(masked[:, None], 0.0))


def _touched(low: torch.Tensor, high: torch.Tensor, side: int) -> torch.Tensor:
    """Which of `side` pixels, pixel i from i to i + 1, the stretch touches; none where NaN."""
    pixels = torch.arange(side, device=low.device)
    return (pixels + 1 > low[..., None]) & (pixels < high[..., None])


ANONYMIZERS.add("raw", plain(Raw))
ANONYMIZERS.add("downsample", lambda spec: Downsample(spec.integer()))
ANONYMIZERS.add("blur", lambda spec: Reduce("blur", spec.integer()))
ANONYMIZERS.add("pixelate", lambda spec: Reduce("pixelate", spec.integer(BLOCKS)))
ANONYMIZERS.add("grey", plain(Grey))
ANONYMIZERS.add("noise", lambda spec: Noise(spec.number(example="0.3")))
ANONYMIZERS.add("superpixel", lambda spec: Superpixel(spec.integer(SUPERPIXELS)))
ANONYMIZERS.add("edge", plain(Edge))
ANONYMIZERS.add("resized", lambda spec: Resized(spec.integer()))
ANONYMIZERS.add("mask", plain(Black))
ANONYMIZERS.add("mask-face", plain(lambda: Mask("face")))
ANONYMIZERS.add("mask-body", plain(lambda: Mask("body")))
