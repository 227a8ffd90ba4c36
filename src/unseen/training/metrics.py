"""Accuracy and class-based mean average precision, with bootstrap intervals."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import comb
from sklearn.metrics import average_precision_score

from unseen.data.clips import LabelSet

Array = npt.NDArray[Any]


def metric_name(label_set: LabelSet) -> str:
    """`accuracy` for one-of-k labels, `cmap` for multi-label ones."""
    return "cmap" if label_set.multi_label else "accuracy"


def score(logits: Array, labels: Array, label_set: LabelSet) -> float:
    """Accuracy, or the mean over attributes of the average precision (cMAP, Wu18 4.2).

    A clip whose label of an attribute is NaN does not count for that attribute. Attributes that no
    clip or every clip has are left out of the mean: their precision does not depend on the model.
    """
    if not label_set.multi_label:
        return float(np.mean(logits.argmax(1) == labels))
    if logits.shape != labels.shape:
        raise ValueError(f"logits {logits.shape} and labels {labels.shape} are of other attributes")
    varied = _varied(labels)
    if not varied:
        return 1.0
    each = [average_precision_score(labels[on, k], logits[on, k]) for k, on in varied.items()]
    return min(1.0, float(np.mean(each)))  # a perfect one may be rounded to more


def _varied(labels: Array) -> dict[int, Array]:
    """The attributes that some clips have and others lack, each with its labelled clips."""
    known = {k: ~np.isnan(labels[:, k]) for k in range(labels.shape[1])}
    return {k: on for k, on in known.items() if 0 < labels[on, k].sum() < on.sum()}


def chance(train_labels: Array, test_labels: Array, label_set: LabelSet) -> float:
    """The score of a guess that ignores the clip: the commonest training class, or, for cMAP, the
    mean share of positives on test."""
    if not label_set.multi_label:
        commonest = np.bincount(train_labels).argmax()
        return float(max(np.mean(test_labels == commonest), 1.0 / len(label_set.classes)))
    shares = [test_labels[on, k].mean() for k, on in _varied(test_labels).items()]
    return float(np.mean(shares)) if shares else 1.0


def interval(
    logits: list[Array],
    labels: Array,
    label_set: LabelSet,
    videos: Array | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95% bootstrap interval over test videos of the best score among `logits`.

    Each resample takes the maximum over the models anew, so that the choice of the best is part of
    the uncertainty.

    Args:
        logits: of each model, `(clips, classes)`.
        labels: of the clips.
        label_set: what they mean.
        videos: which video each clip is of: those of one are alike, and drawn together. None: each
            is of one of its own. Where all are of one, nothing tells how others would differ: the
            interval is then over its clips, and too narrow.
        draws: resamples; of multi-label sets 200 at most.
        seed: of the resamples.
    """
    rng = np.random.default_rng(seed)
    singly = np.arange(len(labels))
    numbers = np.unique(singly if videos is None else videos, return_inverse=True)[1]
    if not numbers.any():
        numbers = singly
    sizes = np.bincount(numbers)
    best = []
    if label_set.multi_label:
        clips_of = np.split(np.argsort(numbers, kind="stable"), np.cumsum(sizes)[:-1])
        for _ in range(min(draws, 200)):  # average precision is slow; 200 give stable percentiles
            drawn = rng.integers(len(sizes), size=len(sizes))
            chosen = np.concatenate([clips_of[which] for which in drawn])
            best.append(max(score(m[chosen], labels[chosen], label_set) for m in logits))
    else:
        right = np.stack([np.bincount(numbers, m.argmax(1) == labels) for m in logits])
        for _ in range(draws):
            drawn = rng.integers(len(sizes), size=len(sizes))
            best.append(float((right[:, drawn].sum(1) / sizes[drawn].sum()).max()))
    low, high = np.percentile(best, [2.5, 97.5])
    return float(low), float(high)


def best_of_k(scores: list[float]) -> list[float]:
    """A_B^k for k = 1..N: the expected best of k attackers drawn without replacement from all N.

    The i-th smallest of N scores is the best of a random k-subset with probability
    C(i-1, k-1) / C(N, k).
    """
    ordered, total = np.sort(np.asarray(scores, np.float64)), len(scores)
    below = np.arange(total)  # i - 1
    return [float(comb(below, k - 1) @ ordered / comb(total, k)) for k in range(1, total + 1)]
