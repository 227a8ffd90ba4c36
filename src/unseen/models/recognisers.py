"""Face recognisers: faces to vectors that are alike for one person (Ren18 5.1).

Whoever wants to know who a face is can train on faces, raw or anonymized ones, or use a network
that was trained elsewhere. Both are a `Recogniser`; a new one is a subclass and a line in
`RECOGNISERS`, with an option where it needs one (`sphereface:RUN`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Int, Num
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from unseen.data.face_images import Face, crop
from unseen.errors import ConfigError
from unseen.registry import Registry, Spec

Vectors: TypeAlias = Num[np.ndarray, "faces features"]


class Recogniser(ABC):
    """Describes faces by vectors, and says how alike two of them are.

    Attributes:
        name: its specification.
        trainable: whether `fit` learns anything: it must then be called first.
        folds: of LFW, whose people it was trained on elsewhere.
        device: where it computes, if it is a network of PyTorch.
    """

    name: str
    trainable: bool = False
    folds: tuple[int, ...] = ()
    device: str = "cpu"

    @abstractmethod
    def features(self, faces: Sequence[Face]) -> Vectors:
        """What is read from faces, the same before and after training; never NaN."""

    def fit(self, features: Vectors, identity: Int[np.ndarray, " faces"]) -> "Recogniser":
        """A recogniser of this kind that learned to tell these people apart; `self` if it cannot.

        Args:
            features: of the training faces.
            identity: whose they are.
        """
        return self

    def embed(self, features: Vectors) -> Float[np.ndarray, "faces embedding"]:
        """Embeddings of faces from their features; those of one person are alike."""
        return features

    def similarity(
        self,
        first: Float[np.ndarray, "pairs embedding"],
        second: Float[np.ndarray, "pairs embedding"],
    ) -> Float[np.ndarray, " pairs"]:
        """How alike embeddings are, row by row: their cosine (Ren18 5.1); 0 for one of zeros."""
        product = (first * second).sum(1)
        length = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        return np.asarray(np.divide(product, np.where(length > 0, length, 1.0)), np.float32)


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


def refuse_few(name: str, identity: Int[np.ndarray, " faces"]) -> None:
    """Raise `ConfigError` for fewer than two people, or where nobody has two images."""
    people, counts = np.unique(identity, return_counts=True)
    if len(people) < 2 or counts.max() < 2:
        raise ConfigError(
            f"'{name}' learns from several images of each of several people, not from "
            f"{len(identity)} images of {len(people)}"
        )


def _first_column(features: Vectors) -> Float[np.ndarray, "faces 1"]:
    return features[:, :1]


RECOGNISERS: Registry[Callable[[Spec], Recogniser]] = Registry("face recogniser")


def _fisher(spec: Spec) -> Recogniser:
    spec.no_option()
    return Fisher()


def _dlib(spec: Spec) -> Recogniser:
    from unseen.models.recogniser_dlib import Dlib

    spec.no_option()
    return Dlib()


def _sphereface(spec: Spec) -> Recogniser:
    from unseen.models.recogniser_sphereface import by_name

    return by_name(spec)


RECOGNISERS.add("fisher", _fisher)
RECOGNISERS.add("dlib", _dlib)
RECOGNISERS.add("sphereface-20", _sphereface)
RECOGNISERS.add("sphereface-small", _sphereface)
RECOGNISERS.add("sphereface", _sphereface)


def load_recogniser(name: str, device: str = "cpu") -> Recogniser:
    """A recogniser by its specification, on a device.

    Raises:
        UnknownNameError: no such recogniser.
        ConfigError: an option that it does not have, or packages that are not installed.
    """
    spec = Spec.parse(name)
    recogniser = RECOGNISERS[spec.name](spec)
    recogniser.device = device
    return recogniser
