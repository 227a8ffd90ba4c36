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

STRIDE = 4
_MEMORY = 2  # frames that each temporal convolution looks back


class _CausalBlock(nn.Module):
    """Residual: a depthwise convolution over this and past frames, then a spatial one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.past = nn.Parameter(torch.zeros(_MEMORY + 1, width))
        with torch.no_grad():
            self.past[-1] = 1.0
        self.space = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, width, 1)
        self.norm = nn.GroupNorm(4, width)

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """`x` is `(batch, time, width, h, w)`; `before` the last frames of the stretch before."""
        if before is None:
            before = x[:, :1].expand(-1, _MEMORY, -1, -1, -1)
        long = torch.cat([before, x], 1)
        time = x.shape[1]
        mixed = sum(
            long[:, k : k + time] * self.past[k].view(1, 1, -1, 1, 1) for k in range(_MEMORY + 1)
        )
        assert isinstance(mixed, Tensor)
        folded = mixed.flatten(0, 1)
        y = self.out(F.relu(self.norm(self.space(folded))))
        return F.relu(x + y.view_as(x)), long[:, -_MEMORY:]


class FastNet(nn.Module):
    """`(batch, channels, time, h, w)` to `(batch, outputs, time, h/4, w/4)` in [0, 1].

    Args:
        channels: of the input.
        outputs: channels of the output.
        width: of the hidden layers, a multiple of 4.
        blocks: residual blocks; each looks two frames further back.
    """

    def __init__(self, channels: int, outputs: int, width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels * STRIDE * STRIDE, width, 3, padding=1)
        self.blocks = nn.ModuleList(_CausalBlock(width) for _ in range(blocks))
        self.head = nn.Conv2d(width, outputs, 3, padding=1)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The output of the next stretch of video, and what to remember."""
        batch, _, time, height, width = x.shape
        frames = x.transpose(1, 2).flatten(0, 1)
        pad = (-width % STRIDE, -height % STRIDE)
        if any(pad):
            frames = F.pad(frames, (0, pad[0], 0, pad[1]), mode="replicate")
        y = F.relu(self.stem(F.pixel_unshuffle(frames, STRIDE)))
        y = y.view(batch, time, *y.shape[1:])
        remembered = []
        for i, block in enumerate(self.blocks):
            y, past = block(y, None if state is None else state[i])
            remembered.append(past)
        out = torch.sigmoid(self.head(y.flatten(0, 1)))
        return out.view(batch, time, *out.shape[1:]).transpose(1, 2), remembered
