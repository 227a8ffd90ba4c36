"""A recogniser that needs no network and no download: Fisherfaces on gradient histograms."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from unseen.data.face_images import Face, crop
from unseen.errors import ConfigError
from unseen.models.recogniser import Recogniser, Vectors, refuse_few


class Fisher(Recogniser):
    """Discriminant directions of gradient histograms: Fisherfaces (Belhumeur 1997) on HOG.

    The face, grey and enlarged a little, becomes histograms of oriented gradients (Dalal 2005);
    their principal components are projected where the people of the training set differ most for
    what each of them varies. It needs no download.
    """

    name = "fisher"
    trainable = True
    enlargement = 1.1
    side = 64
    components = 300

    def __init__(self) -> None:
        self._hog = cv2.HOGDescriptor((self.side, self.side), (16, 16), (8, 8), (8, 8), 9)  # type: ignore[call-arg, unused-ignore]
        self._projection: Pipeline | None = None

    def features(self, faces: Sequence[Face]) -> Vectors:
        """Gradient histograms, `float32 (faces, 1764)`, square roots of them."""
        found = []
        for face in faces:
            grey = cv2.cvtColor(crop(face, self.enlargement, self.side), cv2.COLOR_RGB2GRAY)
            found.append(np.sqrt(np.asarray(self._hog.compute(grey)).ravel()))
        return np.stack(found).astype(np.float32)

    def fit(self, features: Vectors, identity: Int[np.ndarray, " faces"]) -> "Fisher":
        """A new one that learned these people.

        Raises:
            ConfigError: fewer than two people, or nobody with two images.
        """
        refuse_few(self.name, identity)
        fitted = Fisher()
        if not features.var(0).any():
            # Nothing of anyone is left: everyone is described by the same number.
            fitted._projection = make_pipeline(FunctionTransformer(_first_column))
            return fitted
        rank = len(features) - len(np.unique(identity))
        count = min(self.components, rank, features.shape[1])
        fitted._projection = make_pipeline(
            PCA(max(1, count), whiten=True, random_state=0),
            LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"),
        ).fit(features, identity)
        return fitted

    def embed(self, features: Vectors) -> Float[np.ndarray, "faces embedding"]:
        """Features in the directions in which people differ.

        Raises:
            ConfigError: before training.
        """
        if self._projection is None:
            raise ConfigError(f"'{self.name}' must be trained before it recognises anyone")
        return np.asarray(self._projection.transform(features), np.float32)


def _first_column(features: Vectors) -> Float[np.ndarray, "faces 1"]:
    return features[:, :1]
