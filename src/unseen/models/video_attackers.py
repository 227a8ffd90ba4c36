"""Attackers of the second half of the suite `small` that see the whole clip."""

import torch
from timm.models.vision_transformer import Block
from torch import nn
from torch.nn import functional as F

from unseen.models.attackers import BasicBlock, contrast, conv, head
from unseen.models.base import MODELS, ClipClassifier, ModelEntry, Sees, mean_over_time
from unseen.types import Clips, Logits, to_frames


def conv3d(
    inputs: int, outputs: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> nn.Sequential:
    """Convolution that keeps the size but for its stride, BatchNorm, ReLU."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )


def _head3d(channels: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(channels, classes)]


class _SpaceThenTime(nn.Module):
    """A residual block of convolutions over space, then over time; halves space, maybe time."""

    def __init__(self, inputs: int, outputs: int, time_stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            conv3d(inputs, outputs, (1, 3, 3), (1, 2, 2)),
            conv3d(outputs, outputs, (3, 1, 1), (time_stride, 1, 1)),
            conv3d(outputs, outputs, (1, 3, 3), (1, 1, 1)),
            nn.Conv3d(outputs, outputs, (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(outputs),
        )
        self.shortcut = nn.Sequential(
            nn.Conv3d(inputs, outputs, 1, (time_stride, 2, 2), bias=False), nn.BatchNorm3d(outputs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


class SmallR2Plus1D(ClipClassifier):
    """Convolutions over space and over time in turn (R(2+1)D, Tran et al. 2018)."""

    sees: Sees = "clip"

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.BatchNorm3d(3, affine=False),
            conv3d(3, 16, (1, 3, 3), (1, 2, 2)),
            conv3d(16, 16, (3, 1, 1), (1, 1, 1)),
            _SpaceThenTime(16, 32, 2),
            _SpaceThenTime(32, 64, 2),
            _SpaceThenTime(64, 96, 1),
            *_head3d(96, classes),
        )

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip."""
        logits: torch.Tensor = self.net(clips)
        return logits


class TimeAverage(ClipClassifier):
    """A network on what a clip amounts to: mean, deviation and mean change of every pixel.

    Noise that is drawn afresh in each frame averages out before anything else is done. As a clip
    becomes one image, the network can be larger than one that sees every frame.
    """

    sees: Sees = "clip"

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.BatchNorm2d(9, affine=False),
            conv(9, 32),
            conv(32, 32),
            nn.MaxPool2d(2),
            conv(32, 64),
            conv(64, 64),
            nn.MaxPool2d(2),
            conv(64, 128),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(9 * 128, classes),
        )

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip."""
        # The square root has no slope at 0, which is what a still pixel has.
        deviation = (clips.var(2, correction=0) + 1e-6).sqrt()
        change = clips.diff(dim=2, append=clips[:, :, -1:]).abs().mean(2)
        logits: torch.Tensor = self.net(torch.cat([clips.mean(2), deviation, change], 1))
        return logits


class SmallSlowFast(ClipClassifier):
    """Few frames in many channels, every frame in few (SlowFast, Feichtenhofer et al. 2019).

    The slow path sees every fourth frame, and by convolutions over time what the fast one found.
    """

    sees: Sees = "clip"
    _RATE = 4

    def __init__(self, classes: int) -> None:
        super().__init__()
        slow, fast = (32, 64, 96), (8, 12, 16)
        self.contrast = nn.BatchNorm3d(3, affine=False)
        self.slow, self.fast = nn.ModuleList(), nn.ModuleList()
        self.lateral = nn.ModuleList()
        inputs_slow, inputs_fast = 3, 3
        for wide, narrow in zip(slow, fast, strict=True):
            self.slow.append(conv3d(inputs_slow, wide, (1, 3, 3), (1, 2, 2)))
            self.fast.append(conv3d(inputs_fast, narrow, (3, 3, 3), (1, 2, 2)))
            self.lateral.append(conv3d(narrow, 2 * narrow, (5, 1, 1), (self._RATE, 1, 1)))
            inputs_slow, inputs_fast = wide + 2 * narrow, narrow
        self.mix = conv3d(inputs_slow, 96, (3, 3, 3), (1, 2, 2))
        self.classifier = nn.Linear(96 + inputs_fast, classes)

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip."""
        fast = self.contrast(clips)
        slow = fast[:, :, :: self._RATE]
        for wide, narrow, lateral in zip(self.slow, self.fast, self.lateral, strict=True):
            slow, fast = wide(slow), narrow(fast)
            slow = torch.cat([slow, lateral(fast)], 1)
        pooled = [path.mean((2, 3, 4)) for path in (self.mix(slow), fast)]
        logits: torch.Tensor = self.classifier(torch.cat(pooled, 1))
        return logits


class TemporalShift(ClipClassifier):
    """A residual network on frames, between whose blocks channels move in time (Lin et al. 2019).

    An eighth of the channels comes from the frame before, an eighth from the one after.
    """

    sees: Sees = "clip"

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(contrast(), conv(3, 16, 3, 2))
        self.blocks = nn.ModuleList(
            [BasicBlock(16, 16, 1), BasicBlock(16, 32, 2), BasicBlock(32, 64, 2),
             BasicBlock(64, 128, 2)]
        )  # fmt: skip
        self.last = nn.Sequential(*head(128, classes))

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip, averaged over its frames."""
        x = self.stem(to_frames(clips))
        for block in self.blocks:
            x = block(_shifted(x, clips.shape[0]))
        logits: torch.Tensor = self.last(x)
        return mean_over_time(logits, clips.shape[0])


def _shifted(frames: torch.Tensor, clips: int) -> torch.Tensor:
    x = frames.reshape(clips, -1, *frames.shape[1:])
    part = x.shape[2] // 8
    before = F.pad(x[:, :-1, :part], (0, 0, 0, 0, 0, 0, 1, 0))
    after = F.pad(x[:, 1:, part : 2 * part], (0, 0, 0, 0, 0, 0, 0, 1))
    return torch.cat([before, after, x[:, :, 2 * part :]], 2).flatten(0, 1)


class VideoTransformer(ClipClassifier):
    """Attention over all squares of all pairs of frames (after ViViT, Arnab et al. 2021).

    Differs from the paper: convolutions make the tokens, and a depthwise convolution before each
    block tells them where they are (Chu et al. 2021), so that any size and length will do.
    """

    sees: Sees = "clip"

    def __init__(self, classes: int) -> None:
        super().__init__()
        width = 64
        self.tokens = nn.Sequential(
            nn.BatchNorm3d(3, affine=False),
            conv3d(3, 16, (3, 3, 3), (2, 2, 2)),
            conv3d(16, 32, (1, 3, 3), (1, 2, 2)),
            nn.Conv3d(32, width, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        self.place = nn.ModuleList(
            [nn.Conv3d(width, width, 3, padding=1, groups=width) for _ in range(2)]
        )
        self.blocks = nn.ModuleList([Block(width, 4, mlp_ratio=2.0) for _ in range(2)])
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip."""
        x = self.tokens(clips)
        for place, block in zip(self.place, self.blocks, strict=True):
            x = x + place(x)
            x = block(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape)
        logits: torch.Tensor = self.last(x.mean((2, 3, 4)))
        return logits


MODELS.add("r2plus1d-small", ModelEntry("r2plus1d", lambda r: SmallR2Plus1D(r.classes)))
MODELS.add("time-average", ModelEntry("time-average", lambda r: TimeAverage(r.classes)))
MODELS.add("slowfast-small", ModelEntry("slowfast", lambda r: SmallSlowFast(r.classes)))
MODELS.add("temporal-shift", ModelEntry("temporal-shift", lambda r: TemporalShift(r.classes)))
MODELS.add("video-vit", ModelEntry("video-vit", lambda r: VideoTransformer(r.classes)))
