"""dlib's face recogniser (King 2017): a ResNet trained on three million faces by its author.

It takes part in no training here, which makes it the judge of modifiers. Its weights come with
the package `face_recognition_models` (public domain or CC0 1.0); the extra `dlib` installs it.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from unseen.data.face_images import Face
from unseen.errors import ConfigError
from unseen.models.recogniser import Recogniser, Vectors

_WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"
_LANDMARKS = "shape_predictor_5_face_landmarks.dat"
# A square such as dlib's own detector frames, as a share of the height of a face box. From 0.7 to 1
# LFW's raw faces are told apart as well.
_FRAME = 0.8


class Dlib(Recogniser):
    """128 numbers for each face, compared by their distance; a pretrained network.

    Eyes and nose are looked for inside the given box, so that a face is described whether or not
    a detector would still find one.

    Raises:
        ConfigError: its packages are not installed.
    """

    name = "dlib"

    def __init__(self) -> None:
        try:
            import dlib  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise _absent("dlib-bin") from error
        # Found, not imported: the package needs a part of setuptools that is no more.
        package = importlib.util.find_spec("face_recognition_models")
        if package is None or package.origin is None:
            raise _absent("face_recognition_models")
        models = Path(package.origin).parent / "models"
        self._dlib: Any = dlib
        self._landmarks = dlib.shape_predictor(str(models / _LANDMARKS))
        self._network = dlib.face_recognition_model_v1(str(models / _WEIGHTS))

    def features(self, faces: Sequence[Face]) -> Vectors:
        """Descriptors, `float32 (faces, 128)`."""
        return np.stack([self._describe(face) for face in faces])

    def _describe(self, face: Face) -> Float[np.ndarray, "128"]:
        centre = (face.box[:2] + face.box[2:]) / 2
        half = _FRAME * (face.box[3] - face.box[1]) / 2
        x0, y0, x1, y1 = (round(float(v)) for v in (*(centre - half), *(centre + half)))
        image = np.ascontiguousarray(face.image)
        shape = self._landmarks(image, self._dlib.rectangle(x0, y0, x1, y1))
        return np.asarray(self._network.compute_face_descriptor(image, shape), np.float32)

    def similarity(
        self,
        first: Float[np.ndarray, "pairs embedding"],
        second: Float[np.ndarray, "pairs embedding"],
    ) -> Float[np.ndarray, " pairs"]:
        """Minus the distance, as its author compares them (one person: less than 0.6)."""
        return np.asarray(-np.linalg.norm(first - second, axis=1), np.float32)


def _absent(package: str) -> ConfigError:
    return ConfigError(
        f"the recogniser 'dlib' needs the package {package}, which is not installed: "
        "pip install 'unseen[dlib]'"
    )
