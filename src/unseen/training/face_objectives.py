"""What the face modifier minimises for privacy, given what the recogniser sees in its faces.

Every objective returns one value for each face, smaller meaning less privacy leaked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from unseen.models.sphereface import Features, Seen, angular_softmax
from unseen.registry import Registry
from unseen.training.objectives import negative_entropy as classifier_entropy

PerFace = Float[Tensor, " faces"]

# With it a cosine of 0.8 among hundreds of identities is a sure prediction.
FEATURE_LENGTH = 16.0


@dataclass(frozen=True)
class Exposed:
    """Modified faces as D sees them, and what is true of them.

    Attributes:
        modified: what D sees in M(f).
        real: computes the features of f itself, without gradient: few objectives ask for them.
        labels: i_f.
        others: for each face an identity drawn from the others.
        margin: m of the angular softmax.
        ease: the weight of cos(theta) in it.
    """

    modified: Seen
    real: Callable[[], Features]
    labels: Int[Tensor, " faces"]
    others: Int[Tensor, " faces"]
    margin: int = 4
    ease: float = 0.0


class FaceObjective(Protocol):
    """Privacy leaked by each face."""

    def __call__(self, exposed: Exposed) -> PerFace:
        """See the module's text."""


FACE_OBJECTIVES: Registry[FaceObjective] = Registry("face objective")


@FACE_OBJECTIVES.register("misclassify")
def misclassify(exposed: Exposed) -> PerFace:
    """-L_D(M(f), i_f): M ascends the loss that D descends (Ren18 eq. 2)."""
    return -angular_softmax(
        exposed.modified, exposed.labels, margin=exposed.margin, ease=exposed.ease
    )


@FACE_OBJECTIVES.register("random_label")
def random_label(exposed: Exposed) -> PerFace:
    """L_D(M(f), j) for an identity j other than i_f, drawn anew each time (Ren18 5.6)."""
    return angular_softmax(
        exposed.modified, exposed.others, margin=exposed.margin, ease=exposed.ease
    )


@FACE_OBJECTIVES.register("negative_entropy")
def negative_entropy(exposed: Exposed) -> PerFace:
    """Minus the entropy of D's prediction, as Wu18 3.2 has it: bounded, where eq. 2 is not."""
    return classifier_entropy(exposed.modified.logits, exposed.labels, False)


@FACE_OBJECTIVES.register("angular_entropy")
def angular_entropy(exposed: Exposed) -> PerFace:
    """Minus the entropy of D's prediction from the angles alone, at one length for all features.

    Not in Ren18. Under `negative_entropy` it is enough for M to make faces in which D's features
    are short; who they belong to can be read from their direction all the same.
    """
    return classifier_entropy(FEATURE_LENGTH * exposed.modified.cosines, exposed.labels, False)


@FACE_OBJECTIVES.register("distance")
def distance(exposed: Exposed) -> PerFace:
    """The cosine between D's features of M(f) and of f, where it is above zero.

    Not in Ren18. It asks for another face than the own one and does not depend on who D was trained
    on; two strangers have a cosine of about zero.
    """
    return F.cosine_similarity(exposed.modified.features, exposed.real()).clamp_min(0.0)


def other_identities(labels: Int[Tensor, " faces"], identities: int) -> Int[Tensor, " faces"]:
    """For each label another one of so many, each as likely, from PyTorch's global generator."""
    step = torch.randint(1, identities, labels.shape).to(labels.device)
    return (labels + step) % identities
