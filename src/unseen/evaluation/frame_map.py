"""Frame mAP: are actions found where they happen, frame by frame? (Ren18 5.1, Table 1)"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torchvision.ops import box_iou

from unseen.errors import DataError

_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Boxes:
    """The boxes of one frame, found or true.

    Attributes:
        boxes: `(x0, y0, x1, y1)`, in any unit, the same for both.
        labels: class of each.
        scores: how sure the detector is of each; None for true boxes.
    """

    boxes: Float[np.ndarray, "actions 4"]
    labels: Int[np.ndarray, " actions"]
    scores: Float[np.ndarray, " actions"] | None = None


@dataclass(frozen=True)
class FrameMap:
    """Average precision of each class and their mean, in [0, 1].

    Attributes:
        mean: over classes that occur.
        per_class: by name; None where no frame shows the class.
        iou: overlap from which a box counts as found.
        frames: how many were looked at.
        boxes: true ones.
    """

    mean: float
    per_class: dict[str, float | None]
    iou: float
    frames: int
    boxes: int

    def as_json(self) -> dict[str, Any]:
        """For the result file."""
        return asdict(self)


def frame_map(
    found: Sequence[Boxes], true: Sequence[Boxes], classes: Sequence[str], *, iou: float = 0.5
) -> FrameMap:
    """Frame mAP as COCO defines it: precision interpolated at 101 recalls.

    In each frame the surest box takes the free true box of its class that it overlaps most, if by
    at least `iou`; every other box is false. The number of boxes is not limited.

    Differs from the paper: Ren18 names "the standard mAP" without a definition.

    Args:
        found: of each frame, with scores.
        true: of the same frames.
        classes: names; labels are positions in it.
        iou: intersection over union from which a box counts as found (Ren18: 0.5).

    Raises:
        DataError: different numbers of frames, boxes without scores, or no true box at all.
    """
    if len(found) != len(true):
        raise DataError(f"boxes of {len(found)} frames were found, {len(true)} frames are true")
    if any(frame.scores is None for frame in found):
        raise DataError("boxes that were found need scores")
    total = sum(len(frame.labels) for frame in true)
    if not total:
        raise DataError("no frame has a true box, so that there is nothing to find")
    per_class = {
        name: _average_precision(found, true, label, iou) for label, name in enumerate(classes)
    }
    known = [value for value in per_class.values() if value is not None]
    if not known:
        raise DataError(f"no true box has one of the {len(classes)} classes")
    return FrameMap(float(np.mean(known)), per_class, iou, len(true), total)


def _average_precision(
    found: Sequence[Boxes], true: Sequence[Boxes], label: int, iou: float
) -> float | None:
    positives = sum(int((frame.labels == label).sum()) for frame in true)
    if not positives:
        return None
    scores: list[npt.NDArray[Any]] = []
    hits: list[npt.NDArray[np.bool_]] = []
    for guess, truth in zip(found, true, strict=True):
        mine = guess.labels == label
        if guess.scores is None or not mine.any():
            continue
        order = np.argsort(-guess.scores[mine], kind="stable")
        scores.append(guess.scores[mine][order])
        hits.append(_hits(guess.boxes[mine][order], truth.boxes[truth.labels == label], iou))
    if not scores:
        return 0.0
    order = np.argsort(-np.concatenate(scores), kind="stable")
    right = np.cumsum(np.concatenate(hits)[order])
    recall = right / positives
    precision = right / np.arange(1, len(right) + 1)
    # The best precision at this recall or a higher one.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.mean(np.where(at < len(best), best[np.minimum(at, len(best) - 1)], 0.0)))


def _hits(
    boxes: Float[np.ndarray, "found 4"], truth: Float[np.ndarray, "true 4"], iou: float
) -> npt.NDArray[np.bool_]:
    """Which boxes, the surest first, take a true one."""
    overlaps = box_iou(torch.from_numpy(boxes), torch.from_numpy(truth)).numpy().copy()
    hits = np.zeros(len(boxes), np.bool_)
    for i, row in enumerate(overlaps):
        if row.size and row.max() >= iou:
            hits[i] = True
            overlaps[:, row.argmax()] = -1.0
    return hits
