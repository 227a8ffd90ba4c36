"""The curriculum attack: led from raw to anonymized clips, it finds who is there, if anybody is."""

import math

import pytest

from test_evaluation_retrieval import Constant, Negative
from unseen.anonymizers.base import Anonymizer
from unseen.evaluation.attacks import Attacked
from unseen.evaluation.protocol import run_attacks
from unseen.evaluation.versions import anonymize_all
from visible import FIT, LEVELS, visible_data


def _attack(anonymizer: Anonymizer, codec: str | None = None, cap: int = 20) -> Attacked:
    data, fit = visible_data(), FIT.model_copy(update={"cap": cap, "least": 5})
    versions = anonymize_all(anonymizer, data, codec=codec, draws=1, seed=0)
    (found,) = run_attacks(data, versions, {"curriculum": "pixel"}, fit=fit, jobs=1)
    return found


def test_who_is_there_is_found_and_who_is_gone_is_not() -> None:
    labels = visible_data().test.private
    found, gone = _attack(Negative()), _attack(Constant())
    assert (found.logits[0].argmax(1) == labels).mean() > 0.9
    assert (gone.logits[0].argmax(1) == labels).mean() == 1 / LEVELS
    for (figures,) in (found.figures, gone.figures):
        assert figures["learner_on_raw"] > 0.9
        assert figures["learner"] == "pixel"
    assert found.figures[0]["validation"] > 0.9
    # Blind once nothing of the raw clips is left; before that their remains do not tell it on
    # validation clips, of which it sees the anonymized version only.
    assert gone.figures[0]["validation"] == pytest.approx(1 / LEVELS)
    # It began on what it knew and ended blind: nothing else tells who is behind a grey wall.
    losses = [row["train_loss"] for row in gone.figures[0]["curve"]]
    assert losses[0] < 0.5 * math.log(LEVELS)
    assert losses[-1] > 0.95 * math.log(LEVELS)


def test_both_sides_of_the_codec_are_attacked() -> None:
    found = _attack(Negative(), "h264:crf=40", cap=1)
    assert len(found.logits) == len(found.figures) == 2
    assert (found.logits[0] != found.logits[1]).any()
