"""How alike two videos look, frame by frame: PSNR and SSIM."""

import math

import torch
from torch.nn import functional as F

from unseen.types import Clips, StoredClips, to_clips

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_BATCH = 32
_LEAST_ERROR = 1e-10


def psnr(one: StoredClips, other: StoredClips) -> float:
    """Peak signal-to-noise ratio in dB, of the mean squared error over all frames of all clips.

    Equal clips, whose ratio is infinite, get 100 dB, and so does everything nearer than that.
    """
    total = 0.0
    for start in range(0, len(one), _BATCH):
        part = slice(start, start + _BATCH)
        total += float((to_clips(one[part]) - to_clips(other[part])).square().sum())
    return -10 * math.log10(max(total / one.size, _LEAST_ERROR))


def ssim(one: StoredClips, other: StoredClips) -> float:
    """Structural similarity in [-1, 1], mean over frames (Wang et al. 2004, eq. 13).

    Windows of 11x11 pixels, Gaussian with a deviation of 1.5, inside the frame; each colour by
    itself; K1 = 0.01, K2 = 0.03.
    """
    total = 0.0
    for start in range(0, len(one), _BATCH):
        part = slice(start, start + _BATCH)
        total += float(_ssim(to_clips(one[part]), to_clips(other[part]))) * len(one[part])
    return total / len(one)


def _ssim(one: Clips, other: Clips) -> torch.Tensor:
    x, y = (clips.transpose(1, 2).flatten(0, 2)[:, None] for clips in (one, other))
    offsets = torch.arange(_WINDOW, dtype=x.dtype) - _WINDOW // 2
    line = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    line = line / line.sum()

    def mean(planes: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.conv2d(planes, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return (luminance * (2 * covariance + _C2) / (var_x + var_y + _C2)).mean()
