"""The retrieval attack: ranks, their chance, and what is found."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch.nn import functional as F

from unseen.anonymizers.base import Anonymizer, Step
from unseen.evaluation.attacks import Attacked
from unseen.evaluation.protocol import run_attacks
from unseen.evaluation.retrieval import (
    EncoderPair,
    chance_of_average_precision,
    embeddings,
    mean_average_precision,
    nearest_by_class,
)
from unseen.evaluation.versions import anonymize_all
from unseen.models import create_model
from unseen.types import Boxes, Clips
from visible import FIT, LEVELS, visible_data


class Negative(Anonymizer):
    """Black for white: nothing is lost, but raw and anonymized clips do not look alike."""

    name = "negative"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        return Step(1 - clips)


class Constant(Anonymizer):
    """Grey, whatever comes in."""

    name = "constant"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        return Step(torch.full_like(clips, 0.5))


def test_ranks_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    similarities = rng.normal(size=(9, 30))
    queries, gallery = rng.integers(0, 5, 9), rng.integers(0, 4, 30)
    queries[0], queries[1] = 4, 0  # nobody has 4: left out
    expected = [
        average_precision_score(gallery == label, row)
        for row, label in zip(similarities, queries, strict=True)
        if label != 4
    ]
    assert mean_average_precision(similarities, queries, gallery) == pytest.approx(
        float(np.mean(expected))
    )
    assert mean_average_precision(similarities[:1], queries[:1], gallery) == 0.0


def test_chance_is_the_mean_over_all_orders() -> None:
    gallery = np.array([0, 0, 0, 1, 1, 2])
    for label in (0, 1, 2):
        found = [
            mean_average_precision(np.array([order], float), np.array([label]), gallery)
            for order in permutations(range(6))
        ]
        assert chance_of_average_precision(np.array([label]), gallery) == pytest.approx(
            float(np.mean(found))
        )
    both = chance_of_average_precision(np.array([0, 2, 7]), gallery)
    alone = [chance_of_average_precision(np.array([k]), gallery) for k in (0, 2)]
    assert both == pytest.approx(float(np.mean(alone)))


def test_the_nearest_clip_names_the_person() -> None:
    rng = np.random.default_rng(1)
    similarities, gallery = rng.normal(size=(20, 12)), rng.integers(0, 3, 12)
    found = nearest_by_class(similarities, gallery, 5)  # 3 and 4 are not in the gallery
    assert found.shape == (20, 5)
    assert np.isfinite(found).all()
    assert np.array_equal(found.argmax(1), gallery[similarities.argmax(1)])
    for label in range(3):
        np.testing.assert_allclose(found[:, label], similarities[:, gallery == label].max(1), 1e-6)


def test_the_loss_by_hand() -> None:
    torch.manual_seed(0)
    pair = EncoderPair("pixel", 3, size=16, frames=4).eval()
    clips, labels = torch.rand(5, 3, 4, 16, 16), torch.tensor([0, 1, 2, 1, 0])
    vectors = pair.raw(clips)
    cosines = torch.stack(
        [torch.stack([F.cosine_similarity(v, p, 0) for p in pair.people]) for v in vectors]
    )
    expected = F.cross_entropy(16 * cosines, labels)
    torch.testing.assert_close(pair.loss(pair.raw, clips, labels), expected)


def test_embeddings_have_unit_length() -> None:
    torch.manual_seed(0)
    clips = visible_data(train=4, val=4, test=8).test.clips
    found = embeddings(create_model("pixel", 64, size=16, frames=4), clips)
    assert found.shape == (8, 64)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def _attack(anonymizer: Anonymizer, codec: str | None = None, cap: int = 20) -> Attacked:
    data, fit = visible_data(), FIT.model_copy(update={"cap": cap})
    versions = anonymize_all(anonymizer, data, codec=codec, draws=1, seed=0)
    (found,) = run_attacks(data, versions, {"retrieve": "pixel"}, fit=fit, jobs=1)
    return found


def test_who_is_there_is_found_and_who_is_gone_is_not() -> None:
    labels = visible_data().test.private
    found, gone = _attack(Negative()), _attack(Constant())
    assert (found.logits[0].argmax(1) == labels).mean() > 0.9
    (figures,) = found.figures
    assert figures["map"] > 0.9
    assert figures["validation"] > 0.9
    assert (figures["encoder"], figures["gallery"]) == ("pixel", 64)
    assert figures["map_chance"] == pytest.approx(1 / LEVELS, abs=0.05)
    assert (gone.logits[0].argmax(1) == labels).mean() == 1 / LEVELS
    assert gone.figures[0]["map"] < 0.6
    assert found.shown is None


def test_both_sides_of_the_codec_are_attacked() -> None:
    found = _attack(Negative(), "h264:crf=40", cap=1)
    assert len(found.logits) == len(found.figures) == 2
    assert not np.array_equal(*found.logits)
