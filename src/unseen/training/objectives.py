"""What the filter f_D minimises for privacy: J_B, given a budget model's logits and Y_B.

Every objective returns one value per clip, smaller meaning less privacy leaked, for one-of-k
logits `(batch, classes)` with labels `(batch,)` and for multi-label logits `(batch, attributes)`
with labels `(batch, attributes)` in {0, 1}. Multi-label values are means over attributes.
"""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unseen.registry import Registry
from unseen.types import Logits

PerClip = Float[Tensor, " batch"]


class Objective(Protocol):
    """Privacy leaked by each clip, as a budget model sees it."""

    def __call__(self, logits: Logits, labels: Tensor, multi_label: bool) -> PerClip:
        """See the module's text."""


OBJECTIVES: Registry[Objective] = Registry("objective")


@OBJECTIVES.register("negative_entropy")
def negative_entropy(logits: Logits, labels: Tensor, multi_label: bool) -> PerClip:
    """Minus the entropy of the prediction, -H_B (Wu18 3.2; Wang19 eq. 6a).

    Smallest, -log(classes), where the prediction is uniform; for an attribute, -log 2, at a
    probability of 0.5. Labels are not used.
    """
    if multi_label:
        p = torch.sigmoid(logits)
        negative = p * F.logsigmoid(logits) + (1 - p) * F.logsigmoid(-logits)
        return negative.mean(1)
    log_p = F.log_softmax(logits, 1)
    return (log_p.exp() * log_p).sum(1)


@OBJECTIVES.register("gradient_reversal")
def gradient_reversal(logits: Logits, labels: Tensor, multi_label: bool) -> PerClip:
    """Minus the budget model's own loss, -L_B (Wang19 eq. 4a): f_D ascends what f_B descends."""
    if multi_label:
        return -F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1)
    return -F.cross_entropy(logits, labels, reduction="none")


@OBJECTIVES.register("uniform_cross_entropy")
def uniform_cross_entropy(logits: Logits, labels: Tensor, multi_label: bool) -> PerClip:
    """Cross-entropy of the prediction to the uniform distribution (the authors' code).

    Differs from the authors' code: for multi-label outputs the least certain target is 0.5 for
    each attribute, not 1.
    """
    if multi_label:
        half = torch.full_like(logits, 0.5)
        return F.binary_cross_entropy_with_logits(logits, half, reduction="none").mean(1)
    return -F.log_softmax(logits, 1).mean(1)
