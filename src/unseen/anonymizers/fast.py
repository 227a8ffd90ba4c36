"""A small causal filter for CPUs and cameras.

Differs from the paper: Wu18 and Wang19 filter each frame alone with Johnson's network at full
resolution. This one folds 4 x 4 pixels into channels first (one 9x9 convolution at full
resolution costs more than everything here), sees a few past frames, so that it can tell what
someone does from how they look, and puts out one value for each 4 x 4 pixels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.types import from_frames, to_frames

STRIDE = 4
_MEMORY = 2  # frames that each block looks back


class _CausalBlock(nn.Module):
    """Residual 3x3x3 convolution over this frame and the two before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(width, width, 3, padding=(0, 1, 1))
        self.norm = nn.GroupNorm(4, width)

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """`x` is `(batch, width, time, h, w)`; `before` the last frames of the stretch before."""
        if before is None:
            before = x[:, :, :1].expand(-1, -1, _MEMORY, -1, -1)
        long = torch.cat([before, x], 2)
        y = self.conv(long)
        # Normalised frame by frame: over time it would not be causal.
        y = from_frames(self.norm(to_frames(y)), len(y))
        return F.relu(x + y), long[:, :, -_MEMORY:]


class FastNet(nn.Module):
    """`(batch, channels, time, h, w)` to `(batch, outputs, time, h/4, w/4)` in [0, 1].

    Args:
        channels: of the input.
        outputs: channels of the output.
        width: of the hidden layers, a multiple of 4.
        blocks: residual blocks; each looks two frames further back.
    """

    def __init__(self, channels: int, outputs: int, width: int = 24, blocks: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv3d(channels * STRIDE * STRIDE, width, (1, 3, 3), padding=(0, 1, 1))
        self.blocks = nn.ModuleList(_CausalBlock(width) for _ in range(blocks))
        self.head = nn.Conv3d(width, outputs, (1, 3, 3), padding=(0, 1, 1))

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The output of the next stretch of video, and what to remember."""
        height, width = x.shape[-2:]
        frames = to_frames(x)
        pad = (-width % STRIDE, -height % STRIDE)
        if any(pad):
            frames = F.pad(frames, (0, pad[0], 0, pad[1]), mode="replicate")
        cells = from_frames(F.pixel_unshuffle(frames, STRIDE), len(x))
        # Channels last is what the convolutions are fastest with on a CPU.
        y = F.relu(self.stem(cells.contiguous(memory_format=torch.channels_last_3d)))
        remembered = []
        for i, block in enumerate(self.blocks):
            y, past = block(y, None if state is None else state[i])
            remembered.append(past)
        return torch.sigmoid(self.head(y)), remembered
