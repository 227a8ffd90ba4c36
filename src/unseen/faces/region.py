"""An anonymizer inside of boxes: nothing of the face outside, nothing else touched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Float32

from unseen.data.codec import Image
from unseen.faces.track import Box


@dataclass(frozen=True)
class Patch:
    """What became of a part of a picture, of the same size, and what must be remembered of it."""

    image: Image
    state: Any = None


# Anonymizes what lies in a box. Takes it, the memory of its track (None: none yet), and where that
# is, for messages.
Act: TypeAlias = Callable[[Image, Any, str], Patch]


class FaceRegions:
    """Puts an anonymizer into boxes, frame by frame, with a memory for each track.

    The anonymizer gets what lies in a box, and its border, as a picture of its own. It works at
    full strength on every pixel that the box or its ellipse touches. A feathered border lies
    outside of that.

    Args:
        act: the anonymizer; None: black, of which nothing can be read, not even a mean colour.
        shape: `box`, or `ellipse`: the largest one in the box.
        feather: the width of the blended border, in halves of the box.
        least_side: boxes with a side of fewer pixels become black; see `Anonymizer.least_side`.
    """

    def __init__(
        self,
        act: Act | None,
        *,
        shape: str = "box",
        feather: float = 0.0,
        least_side: int = 1,
    ) -> None:
        self.act, self.shape, self.feather, self.least_side = act, shape, feather, least_side
        self._states: dict[int, Any] = {}

    def __call__(self, image: Image, boxes: Mapping[int, Box], where: str = "a picture") -> Image:
        """The picture with the boxes anonymized; the one given stays as it is.

        Args:
            image: `uint8 (height, width, 3)`, RGB.
            boxes: x0, y0, x1, y1 in pixels, by the number of their track; they may reach beyond.
            where: what the picture is, for messages.
        """
        result = image.copy()
        # A track that is not shown any more begins anew if it ever comes back.
        self._states = {track: state for track, state in self._states.items() if track in boxes}
        for track, box in boxes.items():
            height, width = image.shape[:2]
            margin = self.feather / 2 * (box[2:] - box[:2])
            x0, y0 = np.floor(np.maximum(box[:2] - margin, 0)).astype(int).tolist()
            x1, y1 = np.ceil(np.minimum(box[2:] + margin, (width, height))).astype(int).tolist()
            if x0 >= x1 or y0 >= y1:
                continue
            inside = np.zeros_like(image[y0:y1, x0:x1])
            if self.act is not None and min(inside.shape[:2]) >= self.least_side:
                patch = self.act(image[y0:y1, x0:x1], self._states.get(track), where)
                self._states[track], inside = patch.state, patch.image
            weights = strength(box, (x0, y0, x1, y1), self.shape, self.feather)[..., None]
            under = result[y0:y1, x0:x1]
            if (weights >= 1).all():
                under[:] = inside
                continue
            # Under the border lies what earlier boxes left, not the raw picture.
            mixed = np.rint(weights * inside + (1 - weights) * under).astype(np.uint8)
            result[y0:y1, x0:x1] = np.where(weights >= 1, inside, mixed)
        return result


def strength(
    box: Box, window: tuple[int, int, int, int], shape: str, feather: float
) -> Float32[np.ndarray, "height width"]:
    """How much of the anonymized picture is shown at each pixel of a window, from 0 to 1.

    1 where the box, or the ellipse in it, has any part of the pixel (pixel i reaches from i to
    i + 1); from there it falls to 0 over `feather` halves of the box.
    """
    x0, y0, x1, y1 = window
    half = np.maximum((box[2:] - box[:2]) / 2, 1e-6)
    across = _nearest(x0, x1, box[0] + half[0]) / half[0]
    down = _nearest(y0, y1, box[1] + half[1]) / half[1]
    if shape == "ellipse":
        radius = np.hypot(down[:, None], across[None])
    else:
        radius = np.maximum(down[:, None], across[None])
    falling = 1 - (radius - 1) / feather if feather else (radius < 1)
    weights: Float32[np.ndarray, "height width"] = np.clip(falling, 0, 1).astype(np.float32)
    return weights


def _nearest(low: int, high: int, centre: float) -> Float[np.ndarray, " pixels"]:
    """How far the nearest point of each pixel is from a coordinate."""
    middle = np.abs(np.arange(low, high) + 0.5 - centre)
    distances: Float[np.ndarray, " pixels"] = np.maximum(middle - 0.5, 0)
    return distances
