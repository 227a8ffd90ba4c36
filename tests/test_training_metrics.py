"""Metrics against naive loops."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from unseen.data.clips import LabelSet
from unseen.training.metrics import best_of_k, chance, interval, metric_name, score

PAIR = LabelSet("pair", ("a", "b", "c"))
YES_NO = LabelSet("x,y,z", ("x", "y", "z"), multi_label=True)


def _naive_average_precision(positive: np.ndarray, values: np.ndarray) -> float:
    """The mean, over positives, of the precision among all that rank at least as high."""
    precisions = []
    for i in range(len(values)):
        if positive[i]:
            above = [j for j in range(len(values)) if values[j] >= values[i]]
            precisions.append(sum(positive[j] for j in above) / len(above))
    return float(np.mean(precisions))


def test_names() -> None:
    assert metric_name(PAIR) == "accuracy"
    assert metric_name(YES_NO) == "cmap"


def test_accuracy() -> None:
    logits = np.array([[3.0, 1, 0], [0, 2, 1], [5, 4, 6], [1, 0, 0]])
    assert score(logits, np.array([0, 1, 1, 2]), PAIR) == 0.5


def test_cmap_is_the_mean_of_naive_average_precisions() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((40, 3)) < [0.2, 0.5, 0.8]).astype(np.float32)
    logits = rng.normal(size=(40, 3)) + labels
    expected = np.mean([_naive_average_precision(labels[:, k], logits[:, k]) for k in range(3)])
    assert score(logits, labels, YES_NO) == pytest.approx(expected, rel=1e-6)


def test_cmap_of_a_small_ranking_worked_out_by_hand() -> None:
    # Ranks 1, 3 and 4 are positive: (1/1 + 2/3 + 3/4) / 3.
    labels = np.array([[1.0], [0], [1], [1], [0]])
    logits = np.array([[9.0], [8], [7], [6], [5]])
    one = LabelSet("x", ("x",), multi_label=True)
    assert score(logits, labels, one) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_a_perfect_ranking_is_no_more_than_perfect() -> None:
    """Sums of floats are: scikit-learn says 1 + 2e-16 of nine before two."""
    one = LabelSet("x", ("x",), multi_label=True)
    for positive in range(1, 40):
        for negative in range(1, 12):
            labels = np.array([[1.0]] * positive + [[0.0]] * negative)
            logits = -np.arange(float(len(labels)))[:, None]
            assert 1 - 1e-12 < score(logits, labels, one) <= 1.0


def test_attributes_that_never_vary_are_left_out() -> None:
    rng = np.random.default_rng(1)
    varied = rng.integers(0, 2, 20)
    labels = np.stack([np.zeros(20), varied, np.ones(20)], 1)
    logits = rng.normal(size=(20, 3))
    expected = _naive_average_precision(varied, logits[:, 1])
    assert score(logits, labels, YES_NO) == pytest.approx(expected)
    assert score(logits, np.ones((20, 3)), YES_NO) == 1.0


def test_chance_of_classes_is_the_commonest_in_training() -> None:
    train, test = np.array([2, 2, 2, 0, 1]), np.array([2, 2, 0, 1, 2, 0, 0, 0, 0, 0])
    assert chance(train, test, PAIR) == pytest.approx(1 / 3)  # 0.3, but a blind guess has 1/3
    assert chance(np.array([0, 0, 1]), test, PAIR) == pytest.approx(0.6)


def test_chance_of_attributes_is_what_constant_logits_score() -> None:
    rng = np.random.default_rng(2)
    labels = (rng.random((50, 3)) < [0.1, 0.4, 0.7]).astype(np.float32)
    expected = score(np.zeros((50, 3)), labels, YES_NO)
    assert chance(labels, labels, YES_NO) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("total", [1, 2, 5, 8])
def test_best_of_k_is_the_mean_over_all_subsets(total: int) -> None:
    scores = np.random.default_rng(total).random(total).tolist()
    expected = [
        np.mean([max(subset) for subset in combinations(scores, k)]) for k in range(1, total + 1)
    ]
    np.testing.assert_allclose(best_of_k(scores), expected, rtol=1e-12)


def test_best_of_k_with_ties_and_ends() -> None:
    curve = best_of_k([0.2, 0.5, 0.5, 0.1])
    assert curve[0] == pytest.approx(0.325)
    assert curve[-1] == 0.5
    assert curve == sorted(curve)


def test_interval_is_that_of_a_naive_loop() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 30)
    logits = [rng.normal(size=(30, 3)) + strength * np.eye(3)[labels] for strength in (0.5, 1, 2)]
    again = np.random.default_rng(11)
    best = []
    for _ in range(150):
        chosen = again.integers(30, size=30)
        best.append(
            max(sum(int(np.argmax(m[i]) == labels[i]) for i in chosen) / 30 for m in logits)
        )
    low, high = interval(logits, labels, PAIR, draws=150, seed=11)
    assert (low, high) == pytest.approx(tuple(np.percentile(best, [2.5, 97.5])))


def test_interval_of_attributes_is_that_of_a_naive_loop() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, (30, 3))
    logits = [rng.normal(size=(30, 3)) + strength * labels for strength in (0.5, 1)]
    again = np.random.default_rng(5)
    best = []
    for _ in range(40):
        chosen = again.integers(30, size=30)
        best.append(
            max(
                np.mean(
                    [_naive_average_precision(labels[chosen, k], m[chosen, k]) for k in range(3)]
                )
                for m in logits
            )
        )
    low, high = interval(logits, labels, YES_NO, draws=40, seed=5)
    assert (low, high) == pytest.approx(tuple(np.percentile(best, [2.5, 97.5])))


def test_attributes_are_drawn_200_times_at_most() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, (12, 3))
    logits = [rng.normal(size=(12, 3)) + labels]
    found = {n: interval(logits, labels, YES_NO, draws=n, seed=5) for n in (150, 200, 1000)}
    assert found[1000] == found[200] != found[150]


@pytest.mark.parametrize("label_set", [PAIR, YES_NO])
def test_clips_of_one_video_are_drawn_together(label_set: LabelSet) -> None:
    rng = np.random.default_rng(8)
    videos = rng.integers(5, 17, 30)  # some twice, some not at all, in no order
    labels = rng.integers(0, 2, (30, 3)) if label_set.multi_label else rng.integers(0, 3, 30)
    signal = labels if label_set.multi_label else np.eye(3)[labels]
    logits = [rng.normal(size=(30, 3)) + strength * signal for strength in (0.5, 1)]
    again, best = np.random.default_rng(9), []
    names = sorted(set(videos.tolist()))
    for _ in range(40):
        chosen = [i for k in again.integers(len(names), size=len(names))
                  for i in range(30) if videos[i] == names[k]]  # fmt: skip
        best.append(max(score(m[chosen], labels[chosen], label_set) for m in logits))
    found = interval(logits, labels, label_set, videos, draws=40, seed=9)
    assert found == pytest.approx(tuple(np.percentile(best, [2.5, 97.5])))


def test_an_interval_over_videos_is_as_wide_as_their_number_asks() -> None:
    """Ten frames of each of 50 videos, right or wrong together: as 50 clips, not as 500."""
    right = np.random.default_rng(1).random(50) < 0.7
    logits = np.eye(3)[np.where(right, 0, 1)]
    one = interval([logits], np.zeros(50, np.int64), PAIR)
    ten = np.repeat(logits, 10, 0), np.zeros(500, np.int64)
    assert interval([ten[0]], ten[1], PAIR, np.repeat(np.arange(50), 10)) == pytest.approx(one)
    clips = interval([ten[0]], ten[1], PAIR)
    assert clips[1] - clips[0] < 0.5 * (one[1] - one[0])
    # One video says nothing of others: no width would claim that all is known.
    assert interval([ten[0]], ten[1], PAIR, np.zeros(500, np.int64)) == clips


def test_interval_covers_the_truth() -> None:
    """A model that is right with probability 0.7: about 95% of intervals hold 0.7."""
    rng = np.random.default_rng(6)
    held = 0
    for seed in range(100):
        labels = np.zeros(100, np.int64)
        logits = np.eye(3)[np.where(rng.random(100) < 0.7, 0, 1)]
        low, high = interval([logits], labels, PAIR, draws=200, seed=seed)
        held += low <= 0.7 <= high
    assert 86 <= held <= 100


def test_clips_whose_label_is_not_known_do_not_count() -> None:
    """Against scikit-learn on the labelled clips of each attribute."""
    rng = np.random.default_rng(7)
    labels = (rng.random((60, 3)) < [0.2, 0.5, 0.7]).astype(np.float32)
    logits = rng.normal(size=(60, 3)) + labels
    labels[rng.random((60, 3)) < 0.3] = np.nan
    known = ~np.isnan(labels)
    expected = [
        average_precision_score(labels[known[:, k], k], logits[known[:, k], k]) for k in range(3)
    ]
    assert score(logits, labels, YES_NO) == pytest.approx(np.mean(expected), rel=1e-6)
    shares = [labels[known[:, k], k].mean() for k in range(3)]
    assert chance(labels, labels, YES_NO) == pytest.approx(np.mean(shares), rel=1e-6)
    labels[:, 1] = np.where(known[:, 1], 1.0, np.nan)  # of those that are known all have it
    rest = [expected[0], expected[2]]
    assert score(logits, labels, YES_NO) == pytest.approx(np.mean(rest), rel=1e-6)
    low, high = interval([logits], labels, YES_NO, draws=20)
    assert low <= score(logits, labels, YES_NO) <= high


def test_labels_of_other_attributes_are_refused() -> None:
    with pytest.raises(ValueError, match="are of other attributes"):
        score(np.zeros((4, 3)), np.zeros((4, 0)), YES_NO)
