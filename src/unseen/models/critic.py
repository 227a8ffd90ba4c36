"""The critic that keeps modified faces faces: tells pictures of faces from what M makes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from unseen.types import Frames

Scores = Float[Tensor, "faces rows columns"]


class FaceCritic(nn.Module):
    """Faces `(faces, 3, size, size)` in [0, 1] to scores of patches: large where they look real.

    Convolutions 4x4 of stride 2 down to two or three scores a side (five from 64 pixels), so that a
    score sees the whole face, with spectral normalisation (Miyato et al. 2018); with one fewer skin
    and hair came right, and eyes and mouth did not. Not in Ren18, whose photorealistic term is L1
    alone (eq. 3): where M is not shown the face, L1 alone gives the average of all faces it could
    be.

    Args:
        size: height and width of faces in pixels.
        width: channels of the first convolution; each next one has twice as many, up to 8 times.
    """

    def __init__(self, size: int, width: int = 24) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for depth in range(size.bit_length() - 2):
            outputs = width * min(2**depth, 8)
            layers += [spectral_norm(nn.Conv2d(channels, outputs, 4, 2, 1)), nn.LeakyReLU(0.2)]
            channels = outputs
        self.net = nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels, 1, 3, 1, 1)))

    def forward(self, faces: Frames) -> Scores:
        """A score for each patch."""
        scores: Tensor = self.net(2.0 * faces - 1.0)
        return scores[:, 0]


def critic_loss(real: Scores, made: Scores) -> Float[Tensor, ""]:
    """The hinge loss of the critic: real patches above 1, made ones below -1."""
    return F.relu(1.0 - real).mean() + F.relu(1.0 + made).mean()


def realism_loss(made: Scores) -> Float[Tensor, ""]:
    """What M minimises: minus the mean score of what it made."""
    return -torch.mean(made)
