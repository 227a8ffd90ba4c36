"""What M is asked to make of a face when it is not that face: a stranger's, in the same place.

Not in Ren18, whose L1 (eq. 3) asks M for the face itself and leaves it to D to ask for another.
A stranger's picture is laid over the face by the landmarks, all of it: hair, neck and the outline
of the head tell who somebody is, too (with the picture left as it is outside of an ellipse, and
grey inside, recognisers that had learned from such pictures were right about 9 of 10 pairs of
`duet-faces`). The M that minimises L1 to strangers makes the median of all faces in this place, or
of all with the look that it is given: who it was shown tells it nothing about whom it is asked for.
What is held to the face has to stay, though, and pictures of faces seldom hold anything; so shapes
are laid over both faces alike.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unseen.types import Frames


def someone_else(labels: Int[Tensor, " faces"]) -> Int[Tensor, " faces"]:
    """For each face the place in the batch of a face of somebody else, each as likely.

    In a batch of one person alone it may be any, the face itself too.
    """
    other = (labels[:, None] != labels[None]).double()
    alone = other.sum(1, keepdim=True) == 0
    return torch.multinomial(torch.where(alone, torch.ones_like(other), other), 1)[:, 0]


def occluders(
    faces: int, most: int, size: int
) -> tuple[Bool[Tensor, "faces shapes size size"], Float[Tensor, "faces shapes 3"]]:
    """Shapes to lay over faces, from PyTorch's global generator: sticks, slabs and discs.

    Args:
        faces: how many faces.
        most: shapes on a face; each is there or not with the same probability.
        size: of the faces in pixels.

    Returns:
        Where they are, and their colours in [0, 1].
    """

    def between(low: float, high: float) -> Float[Tensor, "faces shapes 1 1"]:
        return low + (high - low) * torch.rand(faces, most, 1, 1)

    line = (2.0 * torch.arange(size) + 1.0) / size - 1.0
    angle = between(0, math.pi)
    x, y = line[None] - between(-0.8, 0.8), line[:, None] - between(-0.8, 0.8)
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    # Half lengths in half boxes, from a stick's thickness to that of a hand or a camera.
    a, b = (0.04 * 15 ** torch.rand(faces, most, 1, 1) for _ in range(2))
    along, across = (along / a).abs(), (across / b).abs()
    round_ = torch.rand(faces, most, 1, 1) < 0.4
    inside = torch.where(round_, along.square() + across.square(), torch.maximum(along, across)) < 1
    there = torch.rand(faces, most, 1, 1) < 0.5
    return inside & there, torch.rand(faces, most, 3)


def occlude(
    faces: Frames,
    shapes: Bool[Tensor, "faces shapes size size"],
    colours: Float[Tensor, "faces shapes 3"],
) -> Frames:
    """Faces with these shapes over them, later ones on top."""
    for k in range(shapes.shape[1]):
        here = shapes[:, k, None].to(faces.device)
        faces = torch.where(here, colours[:, k, :, None, None].to(faces), faces)
    return faces
