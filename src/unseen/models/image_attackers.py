"""Frame-wise attackers of the second half of the suite `small`: families that the first has not."""

import math

import numpy as np
import torch
from scipy.fft import dct
from timm.models.convnext import ConvNeXt
from timm.models.mlp_mixer import MixerBlock
from torch import nn

from unseen.models.attackers import contrast, conv, framewise, head
from unseen.models.base import MODELS, ModelEntry

_BLOCK = 8  # side of the squares that a cosine transform is taken of, in pixels


class _DenseLayer(nn.Module):
    """Adds `growth` channels, computed from all before."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # A copy: the activation in place must not change what is handed on.
        return torch.cat([x, self.net(x.clone())], 1)


def _densenet(classes: int) -> nn.Module:
    """Every layer sees all earlier ones of its block (Huang et al. 2017)."""
    layers: list[nn.Module] = [contrast(), conv(3, 16, 3, 2)]
    channels = 16
    for at, (count, growth) in enumerate(((3, 8), (4, 16), (4, 16))):
        if at:
            layers += [conv(channels, channels // 2, 1), nn.AvgPool2d(2)]
            channels //= 2
        for _ in range(count):
            layers.append(_DenseLayer(channels, growth))
            channels += growth
    last = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, *last, *head(channels, classes))


def _convnext(classes: int) -> nn.Module:
    """Depthwise 7x7 convolutions and layer normalisation (Liu et al. 2022), timm's.

    Differs from the paper: cells of 2x2 pixels instead of 4x4, and no scale of the branches.
    """
    net = ConvNeXt(
        num_classes=classes,
        depths=(1, 1, 2, 1),
        dims=(16, 32, 64, 96),
        patch_size=2,
        ls_init_value=None,
    )
    return nn.Sequential(contrast(), net)


class _Mixer(nn.Module):
    """Perceptrons over places and over channels in turn (Tolstikhin et al. 2021), timm's blocks.

    Differs from the paper: convolutions reduce the frame to the 6x6 tokens.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.tokens = nn.Sequential(
            contrast(),
            conv(3, 16, 3, 2),
            conv(16, 32, 3, 2),
            nn.AdaptiveAvgPool2d(6),
            nn.Conv2d(32, 80, 1),
        )
        self.blocks = nn.Sequential(*(MixerBlock(80, 36, mlp_ratio=(1.0, 2.0)) for _ in range(3)))
        self.last = nn.Sequential(nn.LayerNorm(80), nn.Linear(80, classes))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        tokens = self.tokens(frames).flatten(2).transpose(1, 2)
        # Normalised place by place, then averaged: an affine layer may stand behind the mean.
        logits: torch.Tensor = self.last(self.blocks(tokens)).mean(1)
        return logits


def cosine_basis(side: int) -> torch.Tensor:
    """The orthonormal two-dimensional cosine transform as filters `(side^2, 1, side, side)`."""
    rows = torch.from_numpy(dct(np.eye(side, dtype=np.float32), axis=0, norm="ortho"))
    return torch.einsum("iy,jx->ijyx", rows, rows).reshape(side * side, 1, side, side)


class _Frequencies(nn.Module):
    """A network on cosine coefficients of overlapping 8x8 squares (after Gueguen et al. 2018).

    Each coefficient is brought to unit variance by itself: what a filter hides as faint texture of
    high frequency is as loud here as everything else.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.basis: torch.Tensor
        self.register_buffer("basis", cosine_basis(_BLOCK).repeat(3, 1, 1, 1), persistent=False)
        self.net = nn.Sequential(
            nn.BatchNorm2d(3 * _BLOCK**2, affine=False),
            conv(3 * _BLOCK**2, 48, 1),
            conv(48, 48),
            nn.MaxPool2d(2),
            conv(48, 96),
            *head(96, classes),
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        half = _BLOCK // 2
        spectra = nn.functional.conv2d(frames, self.basis, stride=half, padding=half // 2, groups=3)
        logits: torch.Tensor = self.net(spectra)
        return logits


class _Patches(nn.Module):
    """Evidence of small squares, each judged by itself (after BagNet, Brendel and Bethge 2019).

    Differs from the paper: not the mean over squares but log-mean-exp: one that tells is enough.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            contrast(),
            conv(3, 24, 5, 2),
            conv(24, 48),
            nn.MaxPool2d(2),
            conv(48, 96, 1),
            nn.Conv2d(96, classes, 1),
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        evidence: torch.Tensor = self.net(frames).flatten(2)
        return evidence.logsumexp(2) - math.log(evidence.shape[2])


MODELS.add("densenet-small", ModelEntry("densenet", framewise(_densenet)))
MODELS.add("convnext-small", ModelEntry("convnext", framewise(_convnext)))
MODELS.add("mixer-small", ModelEntry("mixer", framewise(_Mixer)))
MODELS.add("frequencies", ModelEntry("frequencies", framewise(_Frequencies)))
MODELS.add("patches", ModelEntry("patches", framewise(_Patches)))
