"""Small attackers of different families: real networks that a CPU trains in minutes.

All are made for frames of about 48x48 pixels and take any size. They use BatchNorm: an attacker
trains on the output of a frozen anonymizer, where running statistics have nothing to lag behind.
The first layer of each frame-wise one is a BatchNorm without parameters, so that a faint or a
noisy output is brought to the contrast that the rest expects.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F

from unseen.errors import ConfigError
from unseen.models.base import (
    MODELS,
    ClipClassifier,
    FrameAverage,
    ModelEntry,
    Request,
    Sees,
    mean_over_time,
)
from unseen.types import Clips, Logits, to_frames

SUITES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # Strong and unlike each other first: a shorter suite takes them from the front.
        "small": (
            "resnet-v1-10", "r3d-small", "cnn", "difference", "mobilenet:0.5",
            "inception-small", "vit-small", "crnn", "resnet-v2-14", "mobilenet:0.25",
            "r2plus1d-small", "time-average", "frequencies", "slowfast-small", "densenet-small",
            "temporal-shift", "patches", "video-vit", "convnext-small", "mixer-small",
        ),
        # Wang19 4.1 and Wu18 4.1, N = 10; then others of full size. The first of those takes the
        # place of mobilenet:0.5 where the ensemble of widths 0.60 - 0.02 i holds that (M >= 6); no
        # ensemble of these widths holds 0.45. The last four take the places of the budget models
        # on VISPR, which are of the papers' ten.
        "paper": (
            "inception-v1", "inception-v2", "resnet-v1-50", "resnet-v1-101", "resnet-v2-50",
            "resnet-v2-101", "mobilenet:1", "mobilenet:0.75", "mobilenet:0.5", "mobilenet:0.25",
            "mobilenet:0.45", "torchvision:r2plus1d_18", "timm:densenet121",
            "torchvision:r3d_18", "timm:efficientnet_b0", "timm:convnext_tiny", "timm:regnety_016",
            "timm:mobilenetv3_large_100", "torchvision:swin3d_t", "timm:vit_small_patch16_224",
            "timm:densenet169", "timm:resnext50_32x4d", "torchvision:mc3_18",
            "timm:efficientnet_b2",
        ),
    }
)  # fmt: skip


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution that keeps the size but for its stride, BatchNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def contrast() -> nn.BatchNorm2d:
    """Frames at zero mean and unit variance, whatever the anonymizer makes of them."""
    return nn.BatchNorm2d(3, affine=False)


def head(channels: int, classes: int) -> list[nn.Module]:
    """Maps `(batch, channels, height, width)`, averaged over places, to logits."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, activation after the sum (ResNet-v1)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            conv(inputs, outputs, 3, stride),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps `(batch, inputs, height, width)` to so many outputs, reduced by the stride."""
        return F.relu(self.residual(x) + self.shortcut(x))


def _resnet_v1_10(classes: int) -> nn.Module:
    return nn.Sequential(
        contrast(),
        conv(3, 16, 3, 2),
        BasicBlock(16, 16, 1),
        BasicBlock(16, 32, 2),
        BasicBlock(32, 64, 2),
        BasicBlock(64, 128, 2),
        *head(128, classes),
    )


class _PreActivationBottleneck(nn.Module):
    """1x1, 3x3, 1x1 with normalisation and activation before each (ResNet-v2)."""

    def __init__(self, inputs: int, middle: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.activation = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            conv(inputs, middle, 1),
            conv(middle, middle, 3, stride),
            nn.Conv2d(middle, outputs, 1),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = self.activation(x)
        total: torch.Tensor = self.residual(active) + self.shortcut(active)
        return total


def _resnet_v2_14(classes: int) -> nn.Module:
    return nn.Sequential(
        contrast(),
        nn.Conv2d(3, 16, 3, 2, 1),
        _PreActivationBottleneck(16, 12, 48, 1),
        _PreActivationBottleneck(48, 24, 96, 2),
        _PreActivationBottleneck(96, 40, 160, 2),
        _PreActivationBottleneck(160, 64, 256, 2),
        nn.BatchNorm2d(256),
        nn.ReLU(inplace=True),
        *head(256, classes),
    )


class _Inception(nn.Module):
    """Parallel 1x1, 3x3, double 3x3 and pooled branches, each with a quarter of the outputs."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        quarter = outputs // 4
        self.branches = nn.ModuleList(
            [
                conv(inputs, quarter, 1),
                nn.Sequential(conv(inputs, quarter, 1), conv(quarter, quarter)),
                nn.Sequential(
                    conv(inputs, quarter, 1), conv(quarter, quarter), conv(quarter, quarter)
                ),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(inputs, quarter, 1)),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def _inception_small(classes: int) -> nn.Module:
    return nn.Sequential(
        contrast(),
        conv(3, 16, 3, 2),
        conv(16, 32),
        nn.MaxPool2d(2),
        _Inception(32, 80),
        nn.MaxPool2d(2),
        _Inception(80, 128),
        _Inception(128, 160),
        *head(160, classes),
    )


def _full_resolution_cnn(classes: int) -> nn.Module:
    """Plain convolutions; the first two keep the resolution, so that no pixel pattern is lost."""
    return nn.Sequential(
        contrast(),
        conv(3, 12),
        conv(12, 12),
        nn.MaxPool2d(2),
        conv(12, 24),
        nn.MaxPool2d(2),
        conv(24, 48),
        nn.MaxPool2d(2),
        conv(48, 96),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(9 * 96, classes),
    )


class _Tokens(nn.Module):
    """Cells of 8x8 pixels as tokens `(batch, rows, columns, channels)`, in timm's interface.

    Three convolutions instead of one linear layer: on a few thousand clips a transformer learns
    from scratch about twice as fast with them (Xiao et al. 2021).
    """

    def __init__(self, img_size: int, embed_dim: int, **_: object) -> None:
        super().__init__()
        side = -(-img_size // 8)
        self.grid_size = (side, side)
        self.num_patches = side * side
        self.net = nn.Sequential(
            conv(3, 16, 3, 2), conv(16, 32, 3, 2), nn.Conv2d(32, embed_dim, 3, 2, 1)
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.net(frames)
        return tokens.permute(0, 2, 3, 1)


def _vision_transformer(request: Request) -> ClipClassifier:
    """Three transformer blocks, tokens averaged (Dosovitskiy et al. 2021)."""
    transformer = VisionTransformer(
        img_size=request.size,
        patch_size=8,
        num_classes=request.classes,
        global_pool="avg",
        class_token=False,
        embed_dim=80,
        depth=3,
        num_heads=4,
        mlp_ratio=2.0,
        dynamic_img_size=True,
        embed_layer=_Tokens,
    )
    return FrameAverage(nn.Sequential(contrast(), transformer))


class _Block3D(nn.Module):
    """A basic block with 3x3x3 convolutions; halves time and space."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv3d(inputs, outputs, 3, 2, 1, bias=False),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm3d(outputs),
        )
        self.shortcut = nn.Sequential(
            nn.Conv3d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm3d(outputs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


class SmallR3D(ClipClassifier):
    """A 3-D residual network on the whole clip (after R3D, Tran et al. 2018)."""

    sees: Sees = "clip"

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.BatchNorm3d(3, affine=False),
            nn.Conv3d(3, 16, 3, (1, 2, 2), 1, bias=False),
            nn.BatchNorm3d(16),
            nn.ReLU(inplace=True),
            _Block3D(16, 32),
            _Block3D(32, 64),
            _Block3D(64, 96),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(96, classes),
        )

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip."""
        logits: torch.Tensor = self.net(clips)
        return logits


class FrameDifference(ClipClassifier):
    """A 2-D network on the differences of neighbouring frames, logits averaged over them.

    Args:
        net: maps differences `(batch, 3, height, width)` in [-1, 1] to logits `(batch, classes)`.
    """

    sees: Sees = "differences"

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip.

        Raises:
            ConfigError: for clips of one frame, which have no differences.
        """
        if clips.shape[2] < 2:
            raise ConfigError("model 'difference' needs clips of at least 2 frames, got 1")
        differences = clips.diff(dim=2)
        logits: torch.Tensor = self.net(to_frames(differences))
        return mean_over_time(logits, clips.shape[0])


def _frame_difference(request: Request) -> ClipClassifier:
    net = nn.Sequential(
        contrast(),
        conv(3, 16, 5, 2),
        conv(16, 32),
        nn.MaxPool2d(2),
        conv(32, 64),
        nn.MaxPool2d(2),
        conv(64, 96),
        *head(96, request.classes),
    )
    return FrameDifference(net)


class ConvolutionalRecurrent(ClipClassifier):
    """Convolutional features of each frame, a gated recurrent unit over time, states averaged."""

    sees: Sees = "clip"

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            contrast(),
            conv(3, 16, 3, 2),
            conv(16, 24),
            nn.MaxPool2d(2),
            conv(24, 64),
            nn.MaxPool2d(2),
            conv(64, 96),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.recurrent = nn.GRU(96, 96, batch_first=True)
        self.classifier = nn.Linear(96, classes)

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip."""
        features = self.features(to_frames(clips))
        states, _ = self.recurrent(features.unflatten(0, (clips.shape[0], clips.shape[2])))
        logits: torch.Tensor = self.classifier(states.mean(1))
        return logits


def framewise(build: Callable[[int], nn.Module]) -> Callable[[Request], ClipClassifier]:
    """The builder of a clip classifier from one of a network on frames, given the classes."""
    return lambda request: FrameAverage(build(request.classes))


MODELS.add("resnet-v1-10", ModelEntry("resnet-v1", framewise(_resnet_v1_10)))
MODELS.add("resnet-v2-14", ModelEntry("resnet-v2", framewise(_resnet_v2_14)))
MODELS.add("inception-small", ModelEntry("inception", framewise(_inception_small)))
MODELS.add("cnn", ModelEntry("cnn", framewise(_full_resolution_cnn)))
MODELS.add("vit-small", ModelEntry("vit", _vision_transformer))
MODELS.add("r3d-small", ModelEntry("r3d", lambda request: SmallR3D(request.classes)))
MODELS.add("difference", ModelEntry("difference", _frame_difference))
MODELS.add("crnn", ModelEntry("crnn", lambda request: ConvolutionalRecurrent(request.classes)))
