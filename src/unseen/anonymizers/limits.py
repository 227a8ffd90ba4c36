"""Limits on what a filter can see and what it can pass; parts that combine with any network.

Input limits stand before the network, output limits behind it. Each is named `name:option`:

| input | what the network sees |
| --- | --- |
| `grey-in` | one channel of luminance |
| `motion:A` | luminance minus its running mean (weight A of the past): what moves |

| output | what leaves |
| --- | --- |
| `grey` | one channel, the mean of the network's (the authors' code for SBU does the same) |
| `coarse:R` | one value for each R x R pixels of the frame, enlarged bilinearly |
| `noise:S` | Gaussian noise of standard deviation S on each value, drawn afresh for each frame |
| `levels:L` | L equidistant levels (gradients pass straight through) |

`coarse` before `noise` puts the noise on the coarse values, where neither averaging over pixels
nor a codec removes it.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.errors import ConfigError
from unseen.registry import Registry, Spec, plain

# ITU-R BT.601 luma.
_LUMA = (0.299, 0.587, 0.114)


class InputLimit(nn.Module, ABC):
    """What stands before the network: `(batch, channels, time, h, w)` to the same with others.

    Attributes:
        channels: of what comes out.
        sees_stills: whether anything is left of a picture in which nothing moves.
    """

    channels = 1
    sees_stills = True

    @abstractmethod
    def step(self, clips: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The limited input of the next stretch, and what to remember."""


class GreyIn(InputLimit):
    """Luminance, in [0, 1]."""

    def step(self, clips: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Stateless."""
        return _luminance(clips), None


class Motion(InputLimit):
    """Luminance minus its running mean, amplified: zero where nothing changes.

    With g_t the luminance, d_t = g_t - m_{t-1} and m_t = keep * m_{t-1} + (1 - keep) * g_t;
    m starts at the first frame, so that the first frame of a video shows nothing at all.
    The running mean is the causal counterpart of subtracting a clip's mean.
    """

    sees_stills = False
    GAIN = 4.0

    def __init__(self, keep: float) -> None:
        super().__init__()
        self.keep = keep

    def step(self, clips: Tensor, state: Any) -> tuple[Tensor, Any]:
        """`state` is the running mean, `(batch, 1, h, w)`."""
        grey = _luminance(clips)
        mean = grey[:, :, 0] if state is None else state
        moved = []
        for t in range(grey.shape[2]):
            frame = grey[:, :, t]
            moved.append(frame - mean)
            mean = torch.lerp(frame, mean, self.keep)
        return torch.stack(moved, 2) * self.GAIN, mean


def _luminance(clips: Tensor) -> Tensor:
    if clips.shape[1] == 1:
        return clips
    weights = torch.tensor(_LUMA, dtype=clips.dtype, device=clips.device)
    return torch.einsum("bcthw,c->bthw", clips, weights).unsqueeze(1)


class OutputLimit(nn.Module, ABC):
    """What stands behind the network: frames `(frames, channels, h, w)` in [0, 1] to the same."""

    random: bool = False

    @abstractmethod
    def forward(self, frames: Tensor, size: tuple[int, int]) -> Tensor:
        """Limit frames that will be shown at `size` (height, width) pixels."""


class Grey(OutputLimit):
    """The mean of the channels."""

    def forward(self, frames: Tensor, size: tuple[int, int]) -> Tensor:
        """One channel."""
        return frames.mean(1, keepdim=True)


class Coarse(OutputLimit):
    """One value for each `factor` x `factor` pixels of the shown frame."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, frames: Tensor, size: tuple[int, int]) -> Tensor:
        """Area-average down; frames that are coarse enough stay as they are."""
        grid = (max(1, round(size[0] / self.factor)), max(1, round(size[1] / self.factor)))
        if frames.shape[-2] <= grid[0] and frames.shape[-1] <= grid[1]:
            return frames
        return F.adaptive_avg_pool2d(frames, grid)


class Noise(OutputLimit):
    """Gaussian noise, in training and afterwards: it is part of the filter."""

    random = True

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, frames: Tensor, size: tuple[int, int]) -> Tensor:
        """Add noise; the wrapper clamps to [0, 1]."""
        return frames + self.deviation * torch.randn_like(frames)


class Levels(OutputLimit):
    """Equidistant levels from 0 to 1, with a straight-through gradient."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.steps = levels - 1

    def forward(self, frames: Tensor, size: tuple[int, int]) -> Tensor:
        """Round to the nearest level."""
        rounded = (frames.clamp(0, 1) * self.steps).round() / self.steps
        return frames + (rounded - frames).detach()


def _motion(spec: Spec) -> Motion:
    keep = spec.number(0.8)
    if keep >= 1.0:
        raise ConfigError(f"'{spec}': the weight of the past must be below 1, as in 'motion:0.8'")
    return Motion(keep)


INPUT_LIMITS: Registry[Any] = Registry("input limit")
INPUT_LIMITS.add("grey-in", plain(GreyIn))
INPUT_LIMITS.add("motion", _motion)

OUTPUT_LIMITS: Registry[Any] = Registry("output limit")
OUTPUT_LIMITS.add("grey", plain(Grey))
OUTPUT_LIMITS.add("coarse", lambda spec: Coarse(spec.integer(least=1)))
OUTPUT_LIMITS.add("noise", lambda spec: Noise(spec.number(example="0.3")))
OUTPUT_LIMITS.add("levels", lambda spec: Levels(spec.integer(least=2)))
