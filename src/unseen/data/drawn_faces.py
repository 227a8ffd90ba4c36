"""Faces of `duet-faces` by identity, drawn when they are asked for: people to verify."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unseen.data.duet_faces import face_picture
from unseen.data.face_images import DRAWN, FACES, Face, FaceImages
from unseen.registry import Spec

# Runs learn from people 0, 1, ...; frames of actions show people from a million on. With those from
# 500,000 on settings of `duet-faces` were chosen.
_FIRST = 600_000
_TAKES, _SIDE = 12, 96


@dataclass(frozen=True)
class DrawnFaces(FaceImages):
    """Generated people whom no run has learned from; their landmarks are exact."""

    def __getitem__(self, index: int) -> Face:
        """Draw an image."""
        person, take = divmod(index, _TAKES)
        drawn = face_picture(_FIRST + person, take, size=_SIDE)
        return Face(drawn.image, drawn.face, drawn.landmarks)

    def hash(self) -> str:
        """SHA-256 over the pictures, hexadecimal."""
        sha = hashlib.sha256()
        for index in range(len(self)):
            sha.update(self[index].image.tobytes())
        return sha.hexdigest()


def _faces(root: Path, spec: Spec) -> FaceImages:
    """So many people, twelve pictures of each."""
    names = [str(_FIRST + n) for n in range(spec.integer(200, least=8))]
    count = len(names) * _TAKES
    return DrawnFaces(
        name=str(spec),
        root=root,
        paths=tuple(f"{name}/{take}" for name in names for take in range(_TAKES)),
        people=tuple(names),
        identity=np.arange(count) // _TAKES,
        fold=np.zeros(count, np.int64),
    )


FACES.add("duet-faces", _faces)
DRAWN.add("duet-faces")
