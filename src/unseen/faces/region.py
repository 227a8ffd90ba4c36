"""An anonymizer inside of boxes: nothing of the face outside, nothing else touched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Float32

from unseen.data.codec import Image
from unseen.data.pictures import cut_out
from unseen.errors import VideoError
from unseen.faces.places import Box


@dataclass(frozen=True)
class Patch:
    """What became of a part of a picture, of the same size, and what must be remembered of it."""

    image: Image
    state: Any = None


# Anonymizes what lies in a box. Takes it, the memory of its track (None: none yet), where that is,
# for messages, and when, in seconds.
Act: TypeAlias = Callable[[Image, Any, str, float], Patch]


class FaceRegions:
    """Puts an anonymizer into boxes, frame by frame, with a memory for each track.

    The anonymizer gets what lies in a box, and its border, as a picture of its own: what earlier
    boxes left there, and all of the box where the picture's edge cuts it (the edge repeated), so
    that cells and blocks are as large as those of a whole face. It works at full strength on every
    pixel that the box or its ellipse touches. A feathered border lies outside of that.

    Args:
        act: the anonymizer; None: black, of which nothing can be read, not even a mean colour.
        shape: `box`, or `ellipse`: the largest one in the box. Boxes with a negative number, which
            a person drew, are covered whole.
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

    def __call__(
        self,
        image: Image,
        boxes: Mapping[int, Box],
        where: str = "a picture",
        time: float = 0.0,
    ) -> Image:
        """The picture with the boxes anonymized; the one given stays as it is.

        Args:
            image: `uint8 (height, width, 3)`, RGB.
            boxes: x0, y0, x1, y1 in pixels, by the number of their track; they may reach beyond.
            where: what the picture is, for messages.
            time: of the picture in its video, in seconds.

        Raises:
            VideoError: a box is not finite, or its corners are the wrong way round.
        """
        result = image.copy()
        # A track that is not shown any more begins anew if it ever comes back.
        self._states = {track: state for track, state in self._states.items() if track in boxes}
        for track, box in boxes.items():
            if not (np.isfinite(box).all() and (box[:2] < box[2:]).all()):
                raise VideoError(
                    f"the box {box.tolist()} in {where} is none: nothing is covered by it"
                )
            shape = "box" if track < 0 else self.shape
            whole = _whole_pixels(box, self.feather, image)
            x0, y0, x1, y1 = _within(whole, image)
            if x0 >= x1 or y0 >= y1:
                continue
            under = result[y0:y1, x0:x1]
            inside = np.zeros_like(under)
            if self.act is not None and _short_side(whole) >= self.least_side:
                patch = self.act(cut_out(result, whole), self._states.get(track), where, time)
                self._states[track] = patch.state
                above, before = y0 - whole[1], x0 - whole[0]
                inside = patch.image[above : above + y1 - y0, before : before + x1 - x0]
            weights = strength(box, (x0, y0, x1, y1), shape, self.feather)[..., None]
            if (weights >= 1).all():
                under[:] = inside
                continue
            mixed = np.rint(weights * inside + (1 - weights) * under).astype(np.uint8)
            result[y0:y1, x0:x1] = np.where(weights >= 1, inside, mixed)
        return result


def too_small(box: Box, image: Image, least_side: int) -> bool:
    """Whether `FaceRegions`, without a feather, paints a box black for want of pixels."""
    return _short_side(_whole_pixels(box, 0.0, image)) < least_side


def _whole_pixels(box: Box, feather: float, image: Image) -> tuple[int, int, int, int]:
    """The pixels that a box and its border touch, also beyond the picture, by at most its size."""
    margin = feather / 2 * (box[2:] - box[:2])
    reach = np.array(image.shape[1::-1])
    x0, y0 = np.floor(np.clip(box[:2] - margin, -reach, 2 * reach)).astype(int).tolist()
    x1, y1 = np.ceil(np.clip(box[2:] + margin, -reach, 2 * reach)).astype(int).tolist()
    return x0, y0, x1, y1


def _short_side(window: tuple[int, int, int, int]) -> int:
    return min(window[2] - window[0], window[3] - window[1])


def _within(window: tuple[int, int, int, int], image: Image) -> tuple[int, int, int, int]:
    height, width = image.shape[:2]
    x0, y0, x1, y1 = window
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


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
