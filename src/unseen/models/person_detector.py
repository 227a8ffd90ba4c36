"""Where people are in one picture: a detector of torchvision's, with weights at hand."""

from pathlib import Path

import numpy as np
import torch
import torchvision
from jaxtyping import Float32, UInt8

from unseen.errors import ConfigError, UnknownNameError
from unseen.models.weights import SUFFIX, load_whole, weights_file
from unseen.registry import Spec, nearest

LEAST_SCORE = 0.5
_PERSON = 1  # of COCO's classes, which all of torchvision's detectors have


def person_networks() -> list[str]:
    """The names of torchvision's detectors."""
    return list(torchvision.models.list_models(torchvision.models.detection))


def person_weights(spec: str) -> tuple[str, Path]:
    """The name of a detector and the file of its weights; builds no network.

    Args:
        spec: `torchvision:NAME@FILE.safetensors`.

    Raises:
        UnseenError: there is no such detector, or its weights are missing.
    """
    parsed = Spec.parse(spec)
    name, _, weights = (parsed.option or "").partition("@")
    if parsed.name != "torchvision" or not name or not weights:
        raise ConfigError(
            f"person detector '{spec}': write torchvision:NAME@FILE{SUFFIX}, as in "
            f"torchvision:fasterrcnn_resnet50_fpn_v2@people{SUFFIX}"
        )
    if name not in person_networks():
        raise UnknownNameError(
            f"unknown detector of torchvision '{name}'{nearest(name, person_networks())}; "
            f"choose from: {', '.join(person_networks())}"
        )
    return name, weights_file(weights)


class PersonDetector:
    """People in a picture, by a detector of torchvision's, on a GPU where there is one.

    Args:
        spec: `torchvision:NAME@FILE.safetensors`, of a detector trained on COCO.

    Raises:
        UnseenError: there is no such detector, or its weights are missing, or of another one.
    """

    def __init__(self, spec: str) -> None:
        name, file = person_weights(spec)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._net = torchvision.models.get_model(name, weights=None, weights_backbone=None)
        load_whole(self._net, file)
        self._net.to(self._device).eval()

    @torch.no_grad()
    def __call__(
        self, image: UInt8[np.ndarray, "height width 3"]
    ) -> Float32[np.ndarray, "boxes 4"]:
        """The boxes of people in an RGB picture: x0, y0, x1, y1 in pixels."""
        picture = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        (found,) = self._net([picture.to(self._device).float() / 255])
        people = (found["labels"] == _PERSON) & (found["scores"] >= LEAST_SCORE)
        boxes: Float32[np.ndarray, "boxes 4"] = found["boxes"][people].cpu().numpy()
        return boxes
