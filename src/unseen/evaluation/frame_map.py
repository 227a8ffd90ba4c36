"""Frame mAP: are actions found where they happen, frame by frame? (Ren18 5.1, Table 1)"""

from collections.abc import Hashable, Sequence
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
        interval: 95% bootstrap interval of the mean, over videos.
    """

    mean: float
    per_class: dict[str, float | None]
    iou: float
    frames: int
    boxes: int
    interval: tuple[float, float]

    def as_json(self) -> dict[str, Any]:
        """For the result file."""
        return asdict(self) | {"interval": list(self.interval)}


def frame_map(
    found: Sequence[Boxes],
    true: Sequence[Boxes],
    classes: Sequence[str],
    *,
    iou: float = 0.5,
    videos: Sequence[Hashable] | None = None,
    draws: int = 1000,
    seed: int = 0,
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
        videos: what each frame is from: the interval is over videos, whose frames are alike; None,
            or of one video alone: each frame stands for itself.
        draws: of the bootstrap.
        seed: of the bootstrap.

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
    answers = {name: _answers(found, true, label, iou) for label, name in enumerate(classes)}
    whole = np.ones(len(true))
    per_class = {name: answer.precision(whole) for name, answer in answers.items()}
    if all(value is None for value in per_class.values()):
        raise DataError(f"no true box has one of the {len(classes)} classes")
    # Where all are of one video, as where none is named: over its frames.
    of = videos if videos is not None and len(set(videos)) > 1 else range(len(true))
    numbers = {video: n for n, video in enumerate(dict.fromkeys(of))}
    of_frame = np.array([numbers[video] for video in of])
    rng = np.random.default_rng([seed, 23])
    means = []
    for _ in range(draws):
        drawn = np.bincount(rng.integers(len(numbers), size=len(numbers)), minlength=len(numbers))
        values = [answer.precision(drawn[of_frame]) for answer in answers.values()]
        if any(value is not None for value in values):
            means.append(_mean(values))
    low, high = (float(v) for v in np.quantile(means, (0.025, 0.975)))
    mean = _mean(list(per_class.values()))
    return FrameMap(mean, per_class, iou, len(true), total, (low, high))


def _mean(values: Sequence[float | None]) -> float:
    """Of those that are known."""
    return float(np.mean([value for value in values if value is not None]))


@dataclass(frozen=True)
class _Answers:
    """The boxes found for one class in all frames, the surest first.

    Attributes:
        frame: where each was found.
        hit: whether it takes a true box.
        true: how many true boxes each frame has.
    """

    frame: npt.NDArray[np.int64]
    hit: npt.NDArray[np.bool_]
    true: npt.NDArray[np.int64]

    def precision(self, weights: npt.NDArray[Any]) -> float | None:
        """Average precision where each frame counts so many times; None without a true box."""
        positives = (self.true * weights).sum()
        if not positives:
            return None
        counted = weights[self.frame]
        right = np.cumsum(self.hit * counted)
        recall = right / positives
        precision = right / np.maximum(np.cumsum(counted), 1)
        # The best precision at this recall or a higher one; none beyond the last.
        best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        return float(best[np.searchsorted(recall, _RECALLS, side="left")].mean())


def _answers(found: Sequence[Boxes], true: Sequence[Boxes], label: int, iou: float) -> _Answers:
    scores: list[npt.NDArray[Any]] = [np.zeros(0)]
    hits: list[npt.NDArray[np.bool_]] = [np.zeros(0, np.bool_)]
    frames: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for number, (guess, truth) in enumerate(zip(found, true, strict=True)):
        mine = guess.labels == label
        if guess.scores is None or not mine.any():
            continue
        order = np.argsort(-guess.scores[mine], kind="stable")
        scores.append(guess.scores[mine][order])
        hits.append(_hits(guess.boxes[mine][order], truth.boxes[truth.labels == label], iou))
        frames.append(np.full(len(order), number))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    positives = np.array([int((frame.labels == label).sum()) for frame in true])
    return _Answers(np.concatenate(frames)[order], np.concatenate(hits)[order], positives)


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
