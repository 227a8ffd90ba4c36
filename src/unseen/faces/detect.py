"""Where faces are in one picture: CenterFace, on the processor, from weights in this package.

CenterFace (Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019,
sections 3.1-3.2) is a network of one stage. For each cell of 4x4 pixels it puts out how likely the
centre of a face lies there, where in the cell, the logarithms of the face's height and width, and
five landmarks. Weights: `centerface.onnx`, MIT licence, see `centerface.LICENSE` beside it; and
`centerface-int8.onnx`, the same in eight bits, made by `benchmarks/quantise_faces.py`.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from jaxtyping import Float, Float32

from unseen.data.codec import Image
from unseen.errors import WeightsError

_WEIGHTS, _QUANTISED = "centerface.onnx", "centerface-int8.onnx"
SHA256 = "2b5760f97569ade765c8389908320b89c588cf16bd93e6ee9bb681996e268953"
_SHA256 = {
    _WEIGHTS: SHA256,
    _QUANTISED: "df5a1249ef2a85e1caf21626969bc11985d87412fed712d6ec7c49f533453b1d",
}
_OUTPUTS = ("537", "538", "539", "540")
_CELL = 4
# The network halves its input five times.
_MULTIPLE = 32
# What the network is given at once: frames with more pixels, as 4K video, are reduced to so many,
# and photographs are looked at once more in squares of them, which overlap by what is certain to be
# seen in the reduced picture.
_MOST_PIXELS = 1920 * 1088
_OVERLAP = 256
# A second look at this short side, with faces too near for the first: its receptive field ends.
_NEAR = 160
# A glance is at this short side, or a third of the picture's.
_GLANCE = 240
# Where nothing else is said: which faces are found, rather one too many than one that is missed;
# and how many times a box is covered (Ren18 5.2).
LEAST_FACE_SCORE = 0.2
COVERED = 1.6
# Of two boxes the weaker is a duplicate from this intersection over union on, if it lies inside the
# other enlarged so many times; or when so much of it lies inside the other.
_SAME_OVERLAP, _SAME_NEAR, _SAME_INSIDE = 0.3, 1.6, 0.8


@dataclass(frozen=True)
class Detections:
    """Faces in one picture.

    Attributes:
        boxes: `(faces, 4)`, x0, y0, x1, y1 in pixels; they may reach beyond the picture.
        scores: `(faces,)`, in [0, 1].
        landmarks: `(faces, 5, 2)`, x, y in pixels: the eye on the left of the picture, the eye on
            its right, the nose, the corners of the mouth on the left and on the right.
    """

    boxes: Float32[np.ndarray, "faces 4"]
    scores: Float32[np.ndarray, " faces"]
    landmarks: Float32[np.ndarray, "faces 5 2"]

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, chosen: npt.NDArray[Any]) -> "Detections":
        """Those that an index or a mask chooses."""
        return Detections(self.boxes[chosen], self.scores[chosen], self.landmarks[chosen])

    def scaled(self, factor: float) -> "Detections":
        """The same in a picture `factor` times as large."""
        f = np.float32(factor)
        return Detections(self.boxes * f, self.scores, self.landmarks * f)

    def moved(self, right: int, down: int) -> "Detections":
        """The same in a picture in which theirs begins at a place."""
        by = np.array([right, down], np.float32)
        return Detections(self.boxes + np.tile(by, 2), self.scores, self.landmarks + by)


NONE = Detections(
    np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
)


# Finds faces in an RGB picture, `uint8 (height, width, 3)`. Methods that it may have are quicker:
# `glance` finds faces that are not small, `within(picture, box)` those in a part of the picture.
Detector: TypeAlias = Callable[[Image], Detections]
# CenterFace's four maps of a picture, `float32 (1, 3, height, width)`, in [0, 255].
Network: TypeAlias = Callable[[npt.NDArray[Any]], Sequence[Any]]


def decode(
    heat: Float[np.ndarray, "1 1 rows columns"],
    scale: Float[np.ndarray, "1 2 rows columns"],
    offset: Float[np.ndarray, "1 2 rows columns"],
    landmarks: Float[np.ndarray, "1 10 rows columns"],
    threshold: float,
) -> Detections:
    """CenterFace's four maps as faces in pixels of its input, duplicates not yet removed.

    Args:
        heat: how likely the centre of a face is in each cell of 4x4 pixels.
        scale: the logarithms of height and width, in cells.
        offset: of the centre from the cell's own, down and right, in cells.
        landmarks: five times y, x, from the box's upper left corner, in heights and widths.
        threshold: the least score.
    """
    rows, columns = np.nonzero(heat[0, 0] > threshold)
    high, wide = np.exp(scale[0][:, rows, columns]) * _CELL
    y = (rows + offset[0, 0, rows, columns] + 0.5) * _CELL
    x = (columns + offset[0, 1, rows, columns] + 0.5) * _CELL
    boxes = np.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], 1)
    parts = landmarks[0][:, rows, columns].reshape(5, 2, -1)
    points = np.stack([parts[:, 1] * wide + boxes[:, 0], parts[:, 0] * high + boxes[:, 1]], -1)
    return Detections(
        boxes.astype(np.float32),
        heat[0, 0, rows, columns].astype(np.float32),
        points.transpose(1, 0, 2).astype(np.float32),
    )


def without_duplicates(found: Detections, covered: float = COVERED) -> Detections:
    """Strongest first, each without the weaker ones that show the same face.

    A weaker box goes when it overlaps a kept one by 0.3 (intersection over union) and lies inside
    of it enlarged 1.6 times, or when four fifths of it lie inside. Of two faces that touch, each
    stays. The kept box is made to hold what goes and would not be covered with it.

    Args:
        found: in one picture.
        covered: how many times as wide and high as a box what is surely covered of it is.
    """
    found = found.take(np.argsort(-found.scores, kind="stable"))
    low, high = found.boxes[:, :2], found.boxes[:, 2:]
    areas = np.prod(np.maximum(high - low, 1e-6), axis=1)
    near, margin = ((times - 1) / 2 * (high - low) for times in (_SAME_NEAR, covered))
    boxes = found.boxes.copy()
    kept: list[int] = []
    remaining = np.arange(len(found))
    while len(remaining):
        best, rest = remaining[0], remaining[1:]
        kept.append(int(best))
        sides = np.minimum(high[best], high[rest]) - np.maximum(low[best], low[rest])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        same = shared / (areas[best] + areas[rest] - shared) >= _SAME_OVERLAP
        same &= (low[rest] >= low[best] - near[best]).all(1)
        same &= (high[rest] <= high[best] + near[best]).all(1)
        same |= shared / areas[rest] >= _SAME_INSIDE
        outside = (low[rest] < low[best] - margin[best]).any(1)
        outside |= (high[rest] > high[best] + margin[best]).any(1)
        added = rest[same & outside]
        boxes[best, :2] = np.min(low[[best, *added]], 0)
        boxes[best, 2:] = np.max(high[[best, *added]], 0)
        remaining = rest[~same]
    return replace(found, boxes=boxes).take(np.array(kept, np.int64))


def joined(parts: list[Detections]) -> Detections:
    """All of them in one."""
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
    )


def _parts(length: int) -> list[tuple[int, int]]:
    """Where the parts of a side begin, and how long they are: as few as there can be, all alike."""
    most = int(_MOST_PIXELS**0.5)
    count = max(1, math.ceil((length - _OVERLAP) / (most - _OVERLAP)))
    size = min(length, math.ceil((length - _OVERLAP) / count) + _OVERLAP)
    return [(round(i * (length - size) / max(1, count - 1)), size) for i in range(count)]


@cache
def _weights(name: str) -> bytes:
    """A file of weights in this package, if it is what it should be."""
    try:
        data = resources.files("unseen.faces").joinpath(name).read_bytes()
    except OSError as error:
        raise WeightsError(
            f"the face detector's weights, {name}, are missing: install unseen again"
        ) from error
    if hashlib.sha256(data).hexdigest() != _SHA256[name]:
        raise WeightsError(
            f"the face detector's weights, {name}, are damaged: install unseen again"
        )
    return data


def _network(name: str) -> Network:
    """CenterFace, for pictures of any size; OpenCV takes twice as long."""
    options = onnxruntime.SessionOptions()
    # Said explicitly, it does not pin threads to cores; and they spin only while a picture is
    # worked on, which is an eighth faster than not at all, and leaves the cores alone between.
    options.intra_op_num_threads = cv2.getNumThreads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        _weights(name), options, providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    return lambda picture: session.run(_OUTPUTS, {given.name: picture})


class CenterFace:
    """The detector, at the picture's own size and once more reduced, for faces that fill it.

    Differs from the paper: boxes at the picture's edge are not moved inwards, small pictures are
    padded instead of stretched, and pictures of more than 2 megapixels are reduced to that.

    Args:
        threshold: the least score of a face, in (0, 1).
        quantised: in eight bits, but for the first layers: in half the time, the scores a little
            off (docs/faces.md). For video, where a face is looked at many times.
        closely: look at pictures that are reduced once more as they are, in parts. For photographs,
            in which there are small faces and which nothing else is known about.
        covered: see `without_duplicates`.
    """

    def __init__(
        self,
        threshold: float = 0.1,
        *,
        quantised: bool = False,
        closely: bool = False,
        covered: float = COVERED,
    ) -> None:
        self.threshold, self.closely, self.covered = threshold, closely, covered
        self._network = _network(_QUANTISED if quantised else _WEIGHTS)

    def __call__(self, image: Image) -> Detections:
        """The faces of an RGB picture, `uint8 (height, width, 3)`, strongest first."""
        height, width = image.shape[:2]
        scale = min(1.0, (_MOST_PIXELS / (height * width)) ** 0.5)
        found = [self._at(scale, image)]
        near = _NEAR / min(height, width)
        if near <= scale / 2:
            found.append(self._at(near, image))
        if self.closely and scale < 1:
            found += [
                self._at(1.0, image[y : y + high, x : x + wide]).moved(x, y)
                for y, high in _parts(height)
                for x, wide in _parts(width)
            ]
        return without_duplicates(joined(found), self.covered)

    def glance(self, image: Image) -> Detections:
        """Its faces that are not small, at a quarter of the cost or less."""
        short = min(image.shape[:2])
        scale = min(1.0, max(_GLANCE, short / 3) / short)
        return without_duplicates(self._at(scale, image), self.covered)

    def within(self, image: Image, box: Float[np.ndarray, " 4"]) -> Detections:
        """Its faces in a part of it, x0, y0, x1, y1 in pixels: those that do not fill the part."""
        height, width = image.shape[:2]
        x0, y0 = (int(side) for side in np.clip(np.floor(box[:2]), 0, (width, height)))
        x1, y1 = (int(side) for side in np.clip(np.ceil(box[2:]), 0, (width, height)))
        if x0 >= x1 or y0 >= y1:
            return NONE
        scale = min(1.0, (_MOST_PIXELS / (height * width)) ** 0.5)
        found = self._at(scale, image[y0:y1, x0:x1]).moved(x0, y0)
        return without_duplicates(found, self.covered)

    def _at(self, scale: float, image: Image) -> Detections:
        """What the network finds in the picture at a scale."""
        if scale != 1.0:
            size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        height, width = image.shape[:2]
        image = cv2.copyMakeBorder(
            image, 0, -height % _MULTIPLE, 0, -width % _MULTIPLE, cv2.BORDER_CONSTANT
        )
        # A fifth of the time that one copy of a transposed picture takes.
        given = np.stack(cv2.split(image))[None].astype(np.float32)
        heat, extent, offset, landmarks = self._network(given)
        return decode(heat, extent, offset, landmarks, self.threshold).scaled(1 / scale)
