import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from unseen.errors import DataError
from unseen.evaluation.verification import best_threshold, equal_error_rate, verify

Array = npt.NDArray[Any]


def sample(seed: int, pairs: int = 60, folds: int = 5, gap: float = 1.0) -> tuple[Array, ...]:
    """Similarities with many ties, those of one person higher by `gap`."""
    rng = np.random.default_rng(seed)
    same = np.arange(pairs) % 2 == 0
    similarity = np.round(rng.normal(0, 1, pairs) + gap * same, 1).astype(np.float32)
    return similarity, same, 1 + np.arange(pairs) // 2 % folds


def accuracy(similarity: Array, same: Array, threshold: float) -> float:
    right = 0
    for value, one_person in zip(similarity, same, strict=True):
        right += (value > threshold) == one_person
    return right / len(same)


@pytest.mark.parametrize("seed", range(6))
def test_the_threshold_tells_as_many_pairs_right_as_any(seed: int) -> None:
    similarity, same, _ = sample(seed, pairs=31)
    found = accuracy(similarity, same, best_threshold(similarity, same))
    anywhere = np.linspace(similarity.min() - 1, similarity.max() + 1, 4001)
    assert found == max(accuracy(similarity, same, float(t)) for t in anywhere)


def test_the_threshold_lies_between_similarities() -> None:
    similarity = np.array([0.1, 0.2, 0.7, 0.8], np.float32)
    assert best_threshold(similarity, np.array([False, False, True, True])) == pytest.approx(0.45)
    # All of one kind: outside of all.
    assert best_threshold(similarity, np.ones(4, np.bool_)) == pytest.approx(0.1 - 1.0)
    assert best_threshold(similarity, np.zeros(4, np.bool_)) == pytest.approx(0.8 + 1.0)


@pytest.mark.parametrize("seed", range(3))
def test_each_fold_is_told_by_the_others(seed: int) -> None:
    similarity, same, fold = sample(seed)
    found = verify(similarity, same, fold)
    expected = []
    for one in range(1, 6):
        others, mine = fold != one, fold == one
        threshold = best_threshold(similarity[others], same[others])
        expected.append(accuracy(similarity[mine], same[mine], threshold))
    assert found.folds == pytest.approx(expected)
    assert found.accuracy == pytest.approx(sum(expected) / 5)
    # The standard error of LFW's report: the deviation, with n - 1, over the root of n.
    mean = sum(expected) / 5
    deviation = (sum((each - mean) ** 2 for each in expected) / 4) ** 0.5
    assert found.standard_error == pytest.approx(deviation / 5**0.5)
    assert found.auc == pytest.approx(roc_auc_score(same, similarity))
    assert (found.pairs, found.matched) == (60, 30)


def test_a_fold_does_not_decide_about_itself() -> None:
    # In fold 2 the two kinds have changed places: a threshold of its own would tell half right.
    similarity = np.array([1, 1, 0, 0, 0, 0, 1, 1], np.float32)
    same = np.array([True, True, False, False] * 2)
    fold = np.array([1] * 4 + [2] * 4)
    assert verify(similarity, same, fold).folds == (0.5, 0.0)
    told = verify(np.array([1, 1, 0, 0] * 2, np.float32), same, fold)
    assert (told.accuracy, told.eer, told.standard_error) == (1.0, 0.0, 0.0)


def test_blind_and_perfect() -> None:
    rng = np.random.default_rng(0)
    same = rng.random(4000) < 0.5
    fold = 1 + np.arange(4000) % 10
    blind = verify(rng.random(4000).astype(np.float32), same, fold)
    assert blind.accuracy == pytest.approx(0.5, abs=0.03)
    assert blind.eer == pytest.approx(0.5, abs=0.03)
    constant = verify(np.zeros(4000, np.float32), same, fold)
    assert constant.auc == 0.5
    assert constant.eer == pytest.approx(0.5)


def slow_equal_error_rate(similarity: Array, same: Array) -> float:
    """Walk along the corners of the ROC and stop where it crosses the falling diagonal."""
    corners = []
    for threshold in [np.inf, *sorted(set(similarity.tolist()), reverse=True)]:
        accepted = similarity >= threshold
        corners.append((accepted[~same].mean(), 1 - accepted[same].mean()))
    for (a, b), (c, d) in itertools.pairwise(corners):
        if c >= d:
            lengths = np.linspace(0, 1, 100001)
            false_accepts, refusals = a + lengths * (c - a), b + lengths * (d - b)
            at = np.abs(false_accepts - refusals).argmin()
            return float(false_accepts[at])
    raise AssertionError("they always cross")


@pytest.mark.parametrize("seed", range(5))
def test_the_equal_error_rate(seed: int) -> None:
    similarity, same, _ = sample(seed, gap=1.5)
    slow = slow_equal_error_rate(similarity, same)
    assert equal_error_rate(similarity, same) == pytest.approx(slow, abs=1e-4)


def test_pairs_that_cannot_be_verified() -> None:
    similarity, same, fold = sample(0)
    similarity[3] = np.nan
    same[fold == 2] = True
    with pytest.raises(DataError) as caught:
        verify(similarity, same, fold)
    assert caught.value.faults == (
        "fold 2 has no pair of two people",
        "1 similarities are no numbers",
    )
    with pytest.raises(DataError, match="at least two are needed"):
        verify(similarity[fold == 1], same[fold == 1], fold[fold == 1])
