"""Faces behind an anonymizer: what a recogniser is given instead of the raw ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from unseen.anonymizers.base import Anonymizer
from unseen.boxes import FACE_ENLARGEMENT
from unseen.data.codec import Image
from unseen.data.face_images import Face, FaceImages, enlarged_box
from unseen.deploy.paint import on_faces
from unseen.errors import ConfigError
from unseen.faces.region import FaceRegions

BATCH = 32


def refuse_bodies(anonymizer: Anonymizer) -> None:
    """Raise `ConfigError` for an anonymizer that asks for other boxes than those of faces."""
    if anonymizer.needs_boxes not in (None, "face"):
        raise ConfigError(
            f"'{anonymizer.name}' needs {anonymizer.needs_boxes} boxes, which face images lack"
        )


@torch.no_grad()
def modify(
    anonymizer: Anonymizer,
    faces: Sequence[Face],
    *,
    enlargement: float = FACE_ENLARGEMENT,
    device: str = "cpu",
) -> list[Face]:
    """Faces whose boxes, enlarged, were replaced by what the anonymizer makes of them.

    All is as in `modify_frame`.

    Args:
        anonymizer: of clips; each face is a clip of one frame.
        faces: raw.
        enlargement: of the box about its centre (Ren18 5.2: 1.6).
        device: where.

    Raises:
        ConfigError: the anonymizer asks for boxes of bodies.
    """
    refuse_bodies(anonymizer)
    return [
        replace(
            face,
            image=modify_frame(
                anonymizer, face.image, face.box[None], enlargement=enlargement, device=device
            ),
        )
        for face in faces
    ]


@torch.no_grad()
def modify_frame(
    anonymizer: Anonymizer,
    image: Image,
    faces: Float[np.ndarray, "faces 4"],
    *,
    enlargement: float = FACE_ENLARGEMENT,
    device: str = "cpu",
) -> Image:
    """A frame whose face regions passed through the anonymizer: v' of Ren18 eq. 1.

    By the code of `unseen anonymize --region faces`: an anonymizer that was made for a size gets
    the region at that size, bilinearly resized, and its output is resized back (Ren18 4). Where the
    picture's edge cuts a region, the anonymizer gets all of it, the edge repeated, and one in which
    it would remove nothing becomes black. All else stays as it was.

    Args:
        anonymizer: of clips; each region is a clip of one frame.
        image: `uint8 (height, width, 3)`, RGB.
        faces: boxes in pixels.
        enlargement: of the boxes about their centres (Ren18 5.2: 1.6).
        device: where.

    Raises:
        VideoError: the anonymizer fails, or its output has another shape or leaves [0, 1].
    """
    act = on_faces(anonymizer.to(device).eval(), device)
    boxes = {n: enlarged_box(Face(image, box), enlargement) for n, box in enumerate(faces)}
    return FaceRegions(act, least_side=anonymizer.least_side)(image, boxes)


def batches(
    faces: FaceImages,
    chosen: Sequence[int],
    anonymizer: Anonymizer | None,
    *,
    enlargement: float,
    seed: int,
    device: str,
    part: int = 0,
    draw: int = 0,
) -> Iterator[list[Face]]:
    """Read images a few at a time, modified unless there is no anonymizer; in the order given.

    A random anonymizer is drawn by the seed, the part, the draw and the place of the batch.

    Args:
        faces: where the images are.
        chosen: which ones.
        anonymizer: what modifies them.
        enlargement: of their boxes.
        seed: of its noise.
        device: where.
        part: a number for each set of images, so that no two sets meet the same noise.
        draw: of several passes over the same images.
    """
    for at, start in enumerate(range(0, len(chosen), BATCH)):
        read = [faces[i] for i in chosen[start : start + BATCH]]
        if anonymizer is None:
            yield read
            continue
        drawn = np.random.SeedSequence([seed, part, draw, at]).generate_state(1)[0]
        torch.manual_seed(int(drawn))
        yield modify(anonymizer, read, enlargement=enlargement, device=device)
