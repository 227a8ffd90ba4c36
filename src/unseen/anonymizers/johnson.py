"""Johnson's image transformation network: f_D of Wu18 and Wang19, M of Ren18."""

import torch
from jaxtyping import Float
from torch import nn
from torch.nn import functional as F

_STRIDE = 4
_WIDE = 9
_SMALLEST = 8  # below, a reflection at a quarter of the resolution has no pixel to reflect


class _Wide(nn.Conv2d):
    """A convolution of 9x9, with channels last: on CPUs its gradients take a tenth of the time that
    they take with channels first, where it has few outputs.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.contiguous(memory_format=torch.channels_last))


class _Convolution(nn.Sequential):
    """Reflection padding, convolution, instance normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReflectionPad2d(kernel // 2),
            (_Wide if kernel == _WIDE else nn.Conv2d)(inputs, outputs, kernel, stride),
            nn.InstanceNorm2d(outputs, affine=True),
        )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _Convolution(channels, channels, 3),
            nn.ReLU(inplace=True),
            _Convolution(channels, channels, 3),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = x + self.residual(x)
        return total


class JohnsonNet(nn.Module):
    """Image transformation network (Johnson et al. 2016), as f_D in Wu18 4.1 and Wang19 3.2.

    Maps frames `(batch, 3, height, width)` in [0, 1], of any height and width, to frames of the
    same shape in [0, 1]: convolution 9x9, two 3x3 of stride 2, residual blocks, two upsampling
    convolutions, convolution 9x9, output `0.5 * tanh + 0.5`. 1,679,235 parameters as published
    (width 32, 5 blocks); Ren18's modifier is the one of width 64 with 9 blocks.

    Differs from the paper: instance instead of batch normalisation (as Wu18's authors have it);
    upsampling is nearest neighbour and a convolution, which draws no checkerboard, instead of a
    convolution of stride 1/2; residual blocks keep their size by reflection padding instead of
    cropping; frames are lengthened to a multiple of 4, at least 8, by repeating the edge, and cut
    back.

    Args:
        width: channels of the first convolution.
        blocks: number of residual blocks.
        inputs: channels of what it is shown.
        outputs: channels of what it makes.
    """

    def __init__(
        self, width: int = 32, blocks: int = 5, *, inputs: int = 3, outputs: int = 3
    ) -> None:
        super().__init__()
        self.net = nn.Sequential(
            _Convolution(inputs, width, _WIDE),
            nn.ReLU(inplace=True),
            _Convolution(width, 2 * width, 3, 2),
            nn.ReLU(inplace=True),
            _Convolution(2 * width, 4 * width, 3, 2),
            nn.ReLU(inplace=True),
            *(_Residual(4 * width) for _ in range(blocks)),
            nn.Upsample(scale_factor=2, mode="nearest"),
            _Convolution(4 * width, 2 * width, 3),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="nearest"),
            _Convolution(2 * width, width, 3),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(_WIDE // 2),
            _Wide(width, outputs, _WIDE),
        )

    def forward(
        self, frames: Float[torch.Tensor, "frames inputs height width"]
    ) -> Float[torch.Tensor, "frames outputs height width"]:
        """Transformed frames, same height and width, in [0, 1]."""
        height, width = frames.shape[-2:]
        missing_rows, missing_columns = (
            max(_SMALLEST, -(-side // _STRIDE) * _STRIDE) - side for side in (height, width)
        )
        padded = F.pad(frames, (0, missing_columns, 0, missing_rows), mode="replicate")
        transformed: torch.Tensor = 0.5 * torch.tanh(self.net(padded)) + 0.5
        return transformed[..., :height, :width]
