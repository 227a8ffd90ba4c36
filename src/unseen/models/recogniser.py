"""What a face recogniser is: faces to vectors that are alike for one person (Ren18 5.1)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int, Num

from unseen.data.face_images import Face
from unseen.errors import ConfigError

Vectors: TypeAlias = Num[np.ndarray, "faces features"]


class Recogniser(ABC):
    """Describes faces by vectors, and says how alike two of them are.

    Attributes:
        name: its specification.
        trainable: whether `fit` learns anything: it must then be called first.
        folds: of LFW, whose people it was trained on elsewhere; counts where `learned_people`
            gives None.
        device: where it computes, if it is a network of PyTorch.
    """

    name: str
    trainable: bool = False
    folds: tuple[int, ...] = ()
    device: str = "cpu"

    def learned_people(self) -> frozenset[str] | None:
        """`digest_of` the names of those whom it learned in a run; None where nothing tells.

        Raises:
            RunError: what tells is damaged.
        """
        return frozenset()

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


def refuse_few(name: str, identity: Int[np.ndarray, " faces"]) -> None:
    """Raise `ConfigError` for fewer than two people, or where nobody has two images."""
    people, counts = np.unique(identity, return_counts=True)
    if len(people) < 2 or counts.max() < 2:
        raise ConfigError(
            f"'{name}' learns from several images of each of several people, not from "
            f"{len(identity)} images of {len(people)}"
        )
