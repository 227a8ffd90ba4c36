"""Attacks beside the classifiers: what they are given, and what they give back.

The attackers of the two-fold protocol see anonymized video with labels. These have raw video of the
training split too: they know what the anonymizer does to it, or have pictures of those they look
for. Each ends in a name for every anonymized test clip, so that its figure is a leak like theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unseen.config import FitConfig
from unseen.data.clips import LabelSet
from unseen.evaluation.versions import KeptClips
from unseen.types import StoredClips

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class AttackJob:
    """What an attack works with; all that a worker process needs.

    Attributes:
        clips: anonymized and raw, of all splits. Raw test clips are for measuring likeness only.
        labels: the private labels of each split.
        label_set: what they mean.
        model: the network that is trained beside or within the attack, see each of them.
        fit: how it is trained.
        shown: test clips of which a picture is kept, where the attack makes one.
        device: where.
    """

    clips: KeptClips
    labels: Mapping[str, Array]
    label_set: LabelSet
    model: str
    fit: FitConfig
    shown: tuple[int, ...]
    device: str


@dataclass(frozen=True)
class Attacked:
    """What an attack found.

    Attributes:
        name: of the attack.
        logits: on the test clips, one array `(clips, classes)` for each view; the highest is what
            the attack names.
        figures: what else the result file holds of it, for each view.
        shown: what it makes of the clips asked for, where it makes video.
    """

    name: str
    logits: tuple[npt.NDArray[np.float32], ...]
    figures: tuple[dict[str, Any], ...]
    shown: StoredClips | None = None
