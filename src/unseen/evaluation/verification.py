"""Face verification: are two faces of one person? LFW's protocol (Huang 2007; Ren18 5.1).

Similarities are thresholded. The threshold of a fold is chosen on the other folds, so that no
pair decides about itself; the accuracy is the mean over folds, its standard error that of ten
(or as many folds as there are) measurements.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.metrics import roc_auc_score, roc_curve

from unseen.errors import DataError


@dataclass(frozen=True)
class Verification:
    """How well faces are verified; shares are in [0, 1], and 0.5 is blind.

    Attributes:
        accuracy: mean over folds of the share of pairs that are told right.
        standard_error: of that mean.
        folds: accuracy of each fold.
        thresholds: similarity above which that fold's pairs are called one person.
        auc: area under the ROC curve of all pairs.
        eer: equal error rate of all pairs: where as many of one person are refused as of two
            accepted.
        pairs: how many.
        matched: how many of them are of one person.
    """

    accuracy: float
    standard_error: float
    folds: tuple[float, ...]
    thresholds: tuple[float, ...]
    auc: float
    eer: float
    pairs: int
    matched: int

    def as_json(self) -> dict[str, Any]:
        """For the result file."""
        return asdict(self) | {"folds": list(self.folds), "thresholds": list(self.thresholds)}


def verify(
    similarity: Float[np.ndarray, " pairs"],
    same: Bool[np.ndarray, " pairs"],
    fold: Int[np.ndarray, " pairs"],
) -> Verification:
    """Accuracy by LFW's protocol, and what does not depend on a threshold.

    Args:
        similarity: higher for faces that are more alike.
        same: whether a pair is of one person.
        fold: the fold of each pair.

    Raises:
        DataError: fewer than two folds, a fold without pairs of either kind, or a similarity that
            is no number.
    """
    folds = np.unique(fold)
    faults = []
    if len(folds) < 2:
        faults.append("a threshold is chosen on other folds: at least two are needed")
    faults += [
        f"fold {one} has no pair of {'one person' if kind else 'two people'}"
        for one in folds
        for kind in (True, False)
        if not (same[fold == one] == kind).any()
    ]
    if not np.isfinite(similarity).all():
        faults.append(f"{int((~np.isfinite(similarity)).sum())} similarities are no numbers")
    if faults:
        raise DataError(f"{len(same)} pairs cannot be verified", faults)
    thresholds = [best_threshold(similarity[fold != one], same[fold != one]) for one in folds]
    accuracies = [
        float(np.mean((similarity[fold == one] > threshold) == same[fold == one]))
        for one, threshold in zip(folds, thresholds, strict=True)
    ]
    return Verification(
        accuracy=float(np.mean(accuracies)),
        standard_error=float(np.std(accuracies, ddof=1) / np.sqrt(len(folds))),
        folds=tuple(accuracies),
        thresholds=tuple(thresholds),
        auc=float(roc_auc_score(same, similarity)),
        eer=equal_error_rate(similarity, same),
        pairs=len(same),
        matched=int(same.sum()),
    )


def best_threshold(
    similarity: Float[np.ndarray, " pairs"], same: Bool[np.ndarray, " pairs"]
) -> float:
    """The threshold that tells most pairs right; of several the middle one.

    Candidates lie half-way between neighbouring similarities, and outside of all.
    """
    order = np.argsort(similarity, kind="stable")
    values = similarity[order].astype(np.float64)
    # Above the k-th smallest: of one person among the rest, of two among the first k.
    right = np.concatenate([[0], np.cumsum(~same[order])]) + (
        same.sum() - np.concatenate([[0], np.cumsum(same[order])])
    )
    middles = np.concatenate(
        [[values[0] - 1.0], (values[:-1] + values[1:]) / 2, [values[-1] + 1.0]]
    )
    possible = np.concatenate([[True], values[:-1] < values[1:], [True]])
    best = np.flatnonzero(possible & (right == right[possible].max()))
    return float(middles[best[(len(best) - 1) // 2]])


def equal_error_rate(
    similarity: Float[np.ndarray, " pairs"], same: Bool[np.ndarray, " pairs"]
) -> float:
    """Where the rates of false accepts and of false refusals meet, between thresholds linearly."""
    accepted, right, _ = roc_curve(same, similarity, drop_intermediate=False)
    refused = 1.0 - right
    at = int(np.argmax(accepted >= refused))
    before, after = refused[at - 1] - accepted[at - 1], accepted[at] - refused[at]
    if before + after == 0:
        return float(accepted[at])
    share = before / (before + after)
    return float(accepted[at - 1] + share * (accepted[at] - accepted[at - 1]))
