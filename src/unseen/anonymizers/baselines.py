"""Handcrafted anonymizers of Ren18 5.2 beyond blurring and masking: noise, superpixels, edges; and
what mere resizing does."""

import math
from abc import abstractmethod
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unseen.anonymizers.base import Anonymizer, Step
from unseen.data.codec import Image
from unseen.errors import ConfigError
from unseen.types import Boxes, Clips, Frames, from_frames, to_clips, to_frames, to_stored

SUPERPIXELS = 64
_LEAST_SIDE = 8
# Superpixels of fewer pixels a side would leave a face as it is.
_LEAST_CELL = 3
# Noise of a smaller deviation, for values in [0, 1], hides nobody.
_LEAST_NOISE = 0.05
# Canny's thresholds on 8-bit grey.
_WEAK, _STRONG = 100, 200


class ByPicture(Anonymizer):
    """Anonymizes each frame by itself, as an 8-bit RGB picture; no gradient passes."""

    @abstractmethod
    def picture(self, image: Image) -> Image:
        """The anonymized picture, of the same size."""

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """See `Anonymizer.step`."""
        stored = to_stored(clips)
        changed = [[self.picture(np.ascontiguousarray(image)) for image in clip] for clip in stored]
        return Step(to_clips(np.array(changed, np.uint8), clips.device))


class Superpixel(ByPicture):
    """Each pixel shows the mean colour of its superpixel (Ren18 5.2, method 5).

    Differs from the paper: which superpixels, and how many, it does not say; here they are SLIC's,
    so that a face of any size keeps about `count` colours.

    Args:
        count: about how many superpixels there are in a frame, or in a face.
    """

    def __init__(self, count: int = SUPERPIXELS) -> None:
        super().__init__()
        self.name = f"superpixel:{count}"
        self.count = count
        self.least_side = math.ceil(_LEAST_CELL * count**0.5)

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """See `Anonymizer.step`.

        Raises:
            ConfigError: there would be so many that next to nothing would be removed.
        """
        height, width = clips.shape[-2:]
        if min(height, width) < self.least_side:
            most = int((min(height, width) / _LEAST_CELL) ** 2)
            raise ConfigError(
                f"'{self.name}' would remove next to nothing from frames of {width}x{height} "
                f"pixels; use at most {most}"
            )
        return super().step(clips, state, boxes)

    def picture(self, image: Image) -> Image:
        """Superpixels of one picture; a tiny one is a single superpixel."""
        if min(image.shape[:2]) < _LEAST_SIDE:
            mean = np.rint(image.mean((0, 1))).astype(np.uint8)
            return np.broadcast_to(mean, image.shape)
        # OpenCV crashes where a superpixel is larger than the picture is wide or high.
        size = round(min((image.shape[0] * image.shape[1] / self.count) ** 0.5, *image.shape[:2]))
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        slic = cv2.ximgproc.createSuperpixelSLIC(lab, cv2.ximgproc.SLIC, max(size, 2), 20.0)
        slic.iterate(5)
        labels = slic.getLabels().ravel()
        counts = np.maximum(np.bincount(labels), 1)
        means = [np.bincount(labels, image[..., c].ravel()) / counts for c in range(3)]
        colours = np.rint(np.stack(means, 1)).astype(np.uint8)
        result: Image = colours[labels].reshape(image.shape)
        return result


class Edge(ByPicture):
    """White edges on black, and nothing else (Ren18 5.2, method 6); the edges are Canny's."""

    name = "edge"

    def picture(self, image: Image) -> Image:
        """The edge map of one picture."""
        edges = cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), _WEAK, _STRONG)
        result: Image = np.repeat(edges[..., None], 3, axis=2)
        return result


class Noise(Anonymizer):
    """Gaussian noise on every value (Ren18 5.2, method 4), drawn afresh for each frame.

    Args:
        variance: sigma squared, for values in [0, 1]; the paper has 0.1, 0.3 and 0.5.
    """

    random = True

    def __init__(self, variance: float) -> None:
        super().__init__()
        self.name = f"noise:{variance:g}"
        self.deviation = variance**0.5
        self.removes_nothing = self.deviation < _LEAST_NOISE

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """Noisy clips, cut off at 0 and 1."""
        return Step((clips + self.deviation * torch.randn_like(clips)).clamp_(0.0, 1.0))


class Resized(Anonymizer):
    """What a modifier that works at `side` x `side` pixels costs, whatever it does: each frame, or
    face, at that size and back. A reference for measures; nothing that it makes is written as
    anonymized.

    Args:
        side: in pixels.
    """

    removes_nothing = True

    def __init__(self, side: int) -> None:
        super().__init__()
        self.name, self.side = f"resized:{side}", side

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """Each frame by itself."""
        height, width = clips.shape[-2:]
        small = resize_faces(to_frames(clips), (self.side, self.side))
        return Step(from_frames(resize_faces(small, (height, width)), len(clips)))


def resize_faces(
    frames: Frames, size: tuple[int, int]
) -> Float[Tensor, "frames 3 new_height new_width"]:
    """Faces at another size: bilinear (Ren18 4), averaging where it shrinks, within [0, 1].

    Every face that an anonymizer gets at a size of its own is resized so, in training, measured
    and deployed alike.

    Args:
        frames: pictures of faces.
        size: height and width.
    """
    if tuple(frames.shape[-2:]) == size:
        return frames
    # Weights that add up to one within rounding can leave [0, 1] by a rounding error.
    return F.interpolate(frames, size, mode="bilinear", antialias=True).clamp(0.0, 1.0)
