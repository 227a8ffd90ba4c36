"""The per-frame action detector A of Ren18: Faster R-CNN, at paper size and for CPUs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import MultiScaleRoIAlign

from unseen.data.action_frames import ActionPicture
from unseen.registry import Registry, Spec
from unseen.stored_weights import StoredNetwork

DETECTOR_WEIGHTS, DETECTOR_FILE = "detector.safetensors", "detector.json"
_STORED = StoredNetwork("action detector", DETECTOR_WEIGHTS, DETECTOR_FILE)

# torchvision's four losses of Faster R-CNN; their sum is L_A (Ren18 eq. 1).
LOSSES = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg")

# One picture, values in [0, 1]; those of a batch may be of different sizes.
Frame: TypeAlias = Float[Tensor, "3 _ _"]


@dataclass(frozen=True)
class Actions:
    """The actions in one frame.

    Attributes:
        boxes: `(actions, 4)`, pixels, (x0, y0, x1, y1).
        labels: `(actions,)`, from 0.
    """

    boxes: Float[Tensor, "actions 4"]
    labels: Int[Tensor, " actions"]

    @classmethod
    def of(cls, picture: ActionPicture, device: torch.device | str) -> "Actions":
        """Those of a frame of a data set."""
        boxes, labels = (torch.from_numpy(x).to(device) for x in (picture.boxes, picture.labels))
        return cls(boxes, labels)


class ActionDetector(nn.Module):
    """A: frames of any sizes to boxes of actions with scores.

    Args:
        name: `faster-rcnn-resnet101`, or `faster-rcnn-small:W` with W channels in its first layer.
        classes: names of the actions that it tells apart.
        short_side: what the short side of a frame is resized to, in pixels; 340 for JHMDB and 600
            for DALY (Ren18 section 4).
    """

    def __init__(self, name: str, classes: Sequence[str], short_side: int) -> None:
        super().__init__()
        spec = Spec.parse(name)
        self.name, self.classes, self.short_side = name, tuple(classes), short_side
        self.net: FasterRCNN = DETECTORS[spec.name](spec, len(self.classes), short_side)

    def loss(self, frames: Sequence[Frame], actions: Sequence[Actions]) -> Float[Tensor, ""]:
        """L_A, the sum of four losses: RPN and Fast R-CNN, classification and regression.

        The detector must be in training mode.
        """
        targets = [{"boxes": each.boxes, "labels": each.labels + 1} for each in actions]
        losses: dict[str, Tensor] = self.net(list(frames), targets)
        return torch.stack([losses[name] for name in LOSSES]).sum()

    def forward(self, frames: Sequence[Frame]) -> list[dict[str, Tensor]]:
        """For each frame `boxes`, `labels` (from 0) and `scores`; in evaluation mode."""
        found: list[dict[str, Tensor]] = self.net(list(frames))
        return [{**each, "labels": each["labels"] - 1} for each in found]


def _resnet101(spec: Spec, classes: int, short_side: int) -> FasterRCNN:
    spec.no_option()
    # FrozenBatchNorm, torchvision's default, is for pretrained weights; there are none here.
    backbone = resnet_fpn_backbone(
        backbone_name="resnet101", weights=None, trainable_layers=5, norm_layer=_group_norm
    )
    return FasterRCNN(
        backbone, num_classes=classes + 1, min_size=short_side, max_size=_long_side(short_side)
    )


def _long_side(short_side: int) -> int:
    """At most: of wider frames than 4:3 the short side is shorter (Ren18 4: 600 x 800 for DALY)."""
    return -(-short_side * 4 // 3)


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32 if channels % 32 == 0 else 4, channels)


class _SmallBackbone(nn.Sequential):
    """Five convolutions, stride 8; `out_channels` is what Faster R-CNN asks for."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for outputs, stride in (
            (width, 2), (2 * width, 2), (2 * width, 1), (4 * width, 2), (4 * width, 1)
        ):  # fmt: skip
            layers += [nn.Conv2d(channels, outputs, 3, stride, 1), _group_norm(outputs), nn.ReLU()]
            channels = outputs
        super().__init__(*layers)
        self.out_channels = channels


def _small(spec: Spec, classes: int, short_side: int) -> FasterRCNN:
    backbone = _SmallBackbone(4 * spec.integer(4, most=128))
    sizes = (short_side / 8, short_side / 4, short_side / 2)
    anchors = AnchorGenerator((tuple(int(s) for s in sizes),), ((0.5, 1.0, 2.0),))
    return FasterRCNN(
        backbone,
        num_classes=classes + 1,
        min_size=short_side,
        max_size=_long_side(short_side),
        rpn_anchor_generator=anchors,
        box_roi_pool=MultiScaleRoIAlign(["0"], 5, 2),
        rpn_pre_nms_top_n_train=200,
        rpn_post_nms_top_n_train=100,
        rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_test=50,
        rpn_batch_size_per_image=64,
        box_batch_size_per_image=32,
    )


DETECTORS: Registry[Callable[[Spec, int, int], FasterRCNN]] = Registry("action detector")
DETECTORS.add("faster-rcnn-resnet101", _resnet101)
DETECTORS.add("faster-rcnn-small", _small)


def save_detector(detector: ActionDetector, folder: Path) -> None:
    """Write weights (safetensors) and what they are (JSON) into `folder`."""
    about = {
        "name": detector.name,
        "classes": list(detector.classes),
        "short_side": detector.short_side,
        "input": "RGB frames of any sizes, float32 (3, height, width), values in [0, 1]",
        "output": "boxes of actions in pixels, labels (positions in classes) and scores",
    }
    _STORED.save(detector, folder, about)


def load_detector(folder: Path) -> ActionDetector:
    """The action detector that a run of `unseen train` left in `folder`.

    Raises:
        WeightsError: there is none, or it is damaged.
    """

    def build(about: dict[str, Any]) -> ActionDetector:
        classes = [str(name) for name in about["classes"]]
        return ActionDetector(str(about["name"]), classes, int(about["short_side"]))

    return _STORED.load(folder, build)
