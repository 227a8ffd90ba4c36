"""MobileNet-v1 by width: the papers' budget models on SBU, and four of their attackers."""

from typing import Literal

import torch
from torch import nn

from unseen.errors import ConfigError
from unseen.models.base import (
    MODELS,
    ClipClassifier,
    FrameAverage,
    ModelEntry,
    Request,
    group_norm,
)
from unseen.registry import Spec
from unseen.types import Frames, Logits

Norm = Literal["batch", "group"]

_MINIMUM_DEPTH = 8
# (channels at width 1, stride) of the 13 depthwise-separable blocks, Howard et al. 2017, table 1.
_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)


class MobileNetV1(nn.Module):
    """MobileNet-v1 (Howard et al. 2017, table 1) on frames `(batch, 3, height, width)`.

    4,231,976 parameters at width 1 with 1000 classes.

    Differs from the paper: the last block has stride 1 (the table's 2 contradicts its own sizes);
    with `norm="group"`, group normalisation instead of batch normalisation, for budget models:
    nothing in it goes stale when the filter in front of it moves.

    Args:
        classes: number of logits.
        width: the depth multiplier; a layer keeps at least 8 channels (Wu18's ensembles).
        norm: normalisation after every convolution.
    """

    def __init__(self, classes: int, width: float = 1.0, norm: Norm = "batch") -> None:
        super().__init__()

        def layer(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
                nn.BatchNorm2d(outputs) if norm == "batch" else group_norm(outputs),
                nn.ReLU(inplace=True),
            )

        channels = max(int(32 * width), _MINIMUM_DEPTH)
        layers = [layer(3, channels, 3, 2, 1)]
        for full, stride in _BLOCKS:
            outputs = max(int(full * width), _MINIMUM_DEPTH)
            layers.append(layer(channels, channels, 3, stride, channels))
            layers.append(layer(channels, outputs, 1, 1, 1))
            channels = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, frames: Frames) -> Logits:
        """Logits of each frame."""
        logits: torch.Tensor = self.classifier(self.features(frames).mean((2, 3)))
        return logits


def _canonical(spec: Spec) -> Spec:
    width = spec.number(1.0, least=0.01, most=8)
    if abs(width - round(width, 2)) > 1e-9:
        # With finer steps, two names would stand for networks of the very same channels, and an
        # attacker could be a budget model under another name.
        raise ConfigError(f"'{spec}': a width has at most two decimals, as in '{spec.name}:0.58'")
    return Spec(spec.name, f"{round(width, 2):.6g}")


def _build(request: Request, norm: Norm) -> ClipClassifier:
    return FrameAverage(MobileNetV1(request.classes, request.spec.number(), norm))


MODELS.add(
    "mobilenet", ModelEntry("mobilenet-v1", lambda request: _build(request, "batch"), _canonical)
)
MODELS.add(
    "mobilenet-gn", ModelEntry("mobilenet-v1", lambda request: _build(request, "group"), _canonical)
)
