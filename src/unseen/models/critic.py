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

    Four convolutions 4x4 of stride 2, so that a score sees some 46 pixels, with spectral
    normalisation (Miyato et al. 2018). Not in Ren18, whose photorealistic term is L1 alone (eq. 3):
    where M is not shown the face, L1 alone gives the average of all faces it could be.

    Args:
        width: channels of the first convolution.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for outputs in (width, 2 * width, 4 * width, 8 * width):
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
