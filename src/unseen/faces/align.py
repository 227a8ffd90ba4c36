"""Five-point alignment of faces to 112x96 by a differentiable grid and sampler (Ren18 4)."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unseen.models.sphereface import FACE_HEIGHT, FACE_WIDTH, AlignedFaces
from unseen.types import Frames

# Where SphereFace wants eyes, nose tip and mouth corners, (x, y) in pixels of the 112x96 face
# (published with Liu et al. 2017).
TEMPLATE = (
    (30.2946, 51.6963),
    (65.5318, 51.5014),
    (48.0252, 71.7366),
    (33.5493, 92.3655),
    (62.7299, 92.2041),
)

Landmarks = Float[Tensor, "faces 5 2"]


def similarity(landmarks: Landmarks, onto: Landmarks | None = None) -> Float[Tensor, "faces 2 3"]:
    """The similarity transforms that take points of the template to points of the picture.

    Rotation, one scale and translation, no reflection: the least squares fit of the landmarks to
    the template (Umeyama 1991), inverted.

    Args:
        landmarks: eyes, nose tip, mouth corners (each left to right as seen), (x, y) in pixels,
            pixel centres at whole numbers.
        onto: landmarks of other faces in place of the template.
    """
    if onto is None:
        onto = torch.tensor(TEMPLATE, dtype=landmarks.dtype, device=landmarks.device)[None]
    middle, goal = landmarks.mean(1, keepdim=True), onto.mean(1, keepdim=True)
    p, q = landmarks - middle, onto - goal
    # As complex numbers q = (c + i s) p; in two dimensions the best c + i s has a closed form.
    size = p.square().sum((1, 2)).clamp_min(1e-12)
    c = (p * q).sum((1, 2)) / size
    s = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(1) / size
    norm = (c.square() + s.square()).clamp_min(1e-12)
    c, s = c / norm, s / norm
    turn = torch.stack([torch.stack([c, s], 1), torch.stack([-s, c], 1)], 1)
    shift = middle[:, 0] - torch.einsum("nij,nj->ni", turn, goal[:, 0].expand(len(turn), 2))
    return torch.cat([turn, shift[:, :, None]], 2)


def align(pictures: Frames, landmarks: Landmarks) -> AlignedFaces:
    """Faces cut out upright, `(faces, 3, 112, 96)`, sampled bilinearly; differentiable.

    Beyond the picture its edge is repeated.

    Args:
        pictures: `(faces, 3, height, width)`.
        landmarks: five points in each, see `similarity`.
    """
    return _sampled(pictures, similarity(landmarks), FACE_HEIGHT, FACE_WIDTH)


def lay_over(pictures: Frames, landmarks: Landmarks, onto: Landmarks) -> Frames:
    """Pictures moved, turned and scaled so that their landmarks lie as near to `onto` as can be.

    Beyond the picture its edge is repeated.

    Args:
        pictures: `(faces, 3, height, width)`.
        landmarks: five points in each, see `similarity`.
        onto: where they should be.
    """
    height, width = pictures.shape[-2:]
    return _sampled(pictures, similarity(landmarks, onto), height, width)


def _sampled(
    pictures: Frames, transforms: Float[Tensor, "faces 2 3"], height: int, width: int
) -> Float[Tensor, "frames 3 rows columns"]:
    """What lies at the transforms of the pixels of a picture of this height and width."""
    rows = torch.arange(height, dtype=pictures.dtype, device=pictures.device)
    columns = torch.arange(width, dtype=pictures.dtype, device=pictures.device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1)
    where = torch.einsum("nij,hwj->nhwi", transforms, points)
    sides = torch.tensor(pictures.shape[:-3:-1], dtype=pictures.dtype, device=pictures.device)
    grid = (2.0 * where + 1.0) / sides - 1.0
    return F.grid_sample(
        pictures, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
