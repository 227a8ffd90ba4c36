"""How well the players of the game do on validation clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from unseen.anonymizers.learned import LearnedFilter
from unseen.data.clips import LabelSet
from unseen.errors import RunError
from unseen.models.base import ClipClassifier
from unseen.training.classifier import label_loss
from unseen.training.gradients import SMALLER
from unseen.training.metrics import score
from unseen.types import StoredClips, to_clips


@dataclass(frozen=True)
class Asked:
    """A model, and what it is asked for.

    Attributes:
        model: f_T or a budget model.
        labels: the right answers for all clips.
        label_set: what they mean.
        before_noise: whether it sees the filter's output before the filter's noise.
    """

    model: ClipClassifier
    labels: npt.NDArray[Any]
    label_set: LabelSet
    before_noise: bool = False


@torch.no_grad()
def scores_and_losses(
    anonymizer: LearnedFilter,
    clips: StoredClips,
    asked: Sequence[Asked],
    *,
    most: int,
    batch: int,
    device: torch.device,
) -> list[tuple[float, float]]:
    """Score and loss of each model behind f_D, all in evaluation mode.

    Args:
        anonymizer: f_D.
        clips: raw.
        asked: the models.
        most: clips to use, 0 for all. They are spread evenly: data sets are listed by class, and
            the start of a list lacks the last ones.
        batch: clips at once.
        device: where.
    """
    if not asked:
        return []
    count = min(most or len(clips), len(clips))
    chosen = np.arange(count) * len(clips) // max(count, 1)
    for module in (anonymizer, *(each.model for each in asked)):
        module.eval()
    outputs: list[list[torch.Tensor]] = [[] for _ in asked]
    for start in range(0, count, batch):
        part = to_clips(clips[chosen[start : start + batch]], device)
        views = anonymizer.with_and_without_noise(part)
        for kept, each in zip(outputs, asked, strict=True):
            kept.append(each.model(views[each.before_noise]).cpu())
    found = []
    for kept, each in zip(outputs, asked, strict=True):
        labels, logits = each.labels[chosen], torch.cat(kept)
        if not torch.isfinite(logits).all():
            raise RunError(
                f"training diverged: {type(each.model).__name__} is not finite; {SMALLER}"
            )
        loss = float(label_loss(logits, torch.from_numpy(labels), each.label_set))
        found.append((score(logits.numpy(), labels, each.label_set), loss))
    return found
