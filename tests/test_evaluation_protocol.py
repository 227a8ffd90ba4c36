"""The two-fold protocol: what attackers see, what is counted."""

import io
import math
import re
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from example_results import best_of, example_result
from unseen.anonymizers.base import Anonymizer, Step
from unseen.anonymizers.load import load_anonymizer
from unseen.data.clips import SPLITS, ClipDataset, LabelSet
from unseen.data.codec import codec_round_trip
from unseen.errors import ConfigError
from unseen.evaluation.attacks import Attacked
from unseen.evaluation.protocol import (
    Measured,
    privacy_section,
    run_attacks,
    target_section,
    train_on_versions,
)
from unseen.evaluation.results import read_result, write_result
from unseen.evaluation.versions import PIECE, Versions, anonymize_all, anonymize_split
from unseen.training.classifier import Fitted
from unseen.types import Boxes, Clips
from visible import FIT, FRAMES, LEVELS, visible_data, visible_split

CODEC = "h264:crf=23"


class Terminal(io.StringIO):
    """Takes bars for a screen."""

    def isatty(self) -> bool:
        return True


class Recorder(Anonymizer):
    """Darkens a little, with noise if asked; remembers what it was given."""

    name = "recorder"

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__()
        self.noise, self.random = noise, noise > 0
        self.seen: list[Clips] = []

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        assert not self.training
        self.seen.append(clips.clone())
        return Step((0.9 * clips + self.noise * torch.rand_like(clips)).clamp(0, 1))


class Constant(Anonymizer):
    """Grey, whatever comes in."""

    name = "constant"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        return Step(torch.full_like(clips, 0.5))


# ------------------------------------------------------------ what passes through


def test_every_clip_passes_once() -> None:
    data, anonymizer = visible_data(train=40, val=8, test=16), Recorder()
    versions = anonymize_all(anonymizer.train(), data, codec=None, draws=3, seed=0)
    expected = np.concatenate([data.split(name).clips for name in SPLITS])
    passed = torch.cat(anonymizer.seen).permute(0, 2, 3, 4, 1).numpy()
    assert np.array_equal(np.rint(255 * passed).astype(np.uint8), expected)
    for name in SPLITS:
        made = versions[name]
        assert (made.stored, made.bits_per_second) == ((), 0.0)
        (only,) = made.draws
        assert np.abs(only - 0.9 * data.split(name).clips).max() <= 0.5 + 1e-3
        assert made.all() == made.views() == [only]


def test_a_random_anonymizer_is_drawn_afresh_for_training() -> None:
    data, anonymizer = visible_data(train=40, val=8, test=16), Recorder(noise=0.2)
    versions = anonymize_all(anonymizer, data, codec=None, draws=3, seed=0)
    assert sum(len(clips) for clips in anonymizer.seen) == 3 * 40 + 8 + 16
    assert [len(versions[name].draws) for name in SPLITS] == [3, 1, 1]
    for first, second in combinations(versions["train"].draws, 2):
        assert np.mean(first != second) > 0.9
    again = anonymize_all(Recorder(noise=0.2), data, codec=None, draws=3, seed=0)
    other = anonymize_all(Recorder(noise=0.2), data, codec=None, draws=3, seed=1)
    for name in SPLITS:
        for a, b, c in zip(versions[name].draws, again[name].draws, other[name].draws, strict=True):
            assert np.array_equal(a, b)
            assert np.mean(a != c) > 0.9


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_number_of_processes_changes_nothing(noise: float) -> None:
    data = visible_data(train=2 * PIECE + 8, val=4, test=8)
    one, two = (
        anonymize_all(Recorder(noise), data, codec=CODEC, draws=2, seed=0, jobs=jobs)
        for jobs in (1, 2)
    )
    for name in SPLITS:
        assert len(one[name].all()) == len(two[name].all())
        for a, b in zip(one[name].all(), two[name].all(), strict=True):
            assert np.array_equal(a, b)
        assert one[name].bits_per_second == two[name].bits_per_second
    # The noise of one piece is not that of the next.
    added = one["train"].draws[0].astype(int) - np.rint(0.9 * data.train.clips).astype(int)
    assert (np.mean(added[:PIECE] != added[PIECE : 2 * PIECE]) > 0.5) == (noise > 0)


def test_noise_of_one_clip_is_not_that_of_another() -> None:
    split = visible_split(2, 0)
    same = replace(split, clips=np.repeat(split.clips[:1], 40, 0))
    out = anonymize_split(Recorder(noise=0.2), same, seed=3, device="cpu")
    for one, other in ((0, 1), (0, 32), (31, 32)):  # within a batch, and from one to the next
        assert np.mean(out[one] != out[other]) > 0.9


def test_boxes_reach_the_anonymizer_that_needs_them() -> None:
    split = visible_split(40, 0)
    body = split.boxes["body"].copy()
    body[:, :, :, 0] = np.arange(40)[:, None, None] % 6  # a box of its own for each clip
    out = anonymize_split(
        load_anonymizer("mask-body"), replace(split, boxes={"body": body}), seed=0, device="cpu"
    )
    expected = split.clips.copy()
    for clip, boxes in zip(expected, body, strict=True):
        for frame, ((x0, y0, x1, y1),) in zip(clip, boxes.astype(int), strict=True):
            frame[y0:y1, x0:x1] = 0
    assert np.array_equal(out, expected)


def test_missing_boxes_are_named() -> None:
    split = visible_split(4, 0)
    with pytest.raises(ConfigError, match="'mask-face' needs face boxes, which this data set"):
        anonymize_split(load_anonymizer("mask-face"), split, seed=0, device="cpu")


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_each_draw_is_stored(noise: float) -> None:
    data = visible_data(train=12, val=4, test=8)
    versions = anonymize_all(Recorder(noise), data, codec=CODEC, draws=2, seed=0)
    assert len(versions["train"].draws) == (2 if noise else 1)
    for name in SPLITS:
        made = versions[name]
        trips = [codec_round_trip(draw, CODEC, Fraction(25, 2)) for draw in made.draws]
        assert len(made.stored) == len(made.draws)
        for stored, trip, draw in zip(made.stored, trips, made.draws, strict=True):
            assert np.array_equal(stored, trip.clips)
            assert not np.array_equal(stored, draw)
        seconds = len(data.split(name)) * FRAMES / 12.5
        mean = np.mean([8 * trip.bytes / seconds for trip in trips])
        assert made.bits_per_second == pytest.approx(mean)
        assert made.all() == [*made.draws, *made.stored]
        # Measured are the two sides of one pass, not two passes.
        assert len(made.views()) == 2
        assert made.views()[0] is made.draws[0]
        assert made.views()[1] is made.stored[0]


# ------------------------------------------------------------ who learns from what


def _train(data: ClipDataset, versions: dict[str, Versions], *attackers: str) -> Any:
    return train_on_versions(
        data, versions, "c3d-small:4", attackers, target_fit=FIT, attacker_fit=FIT, jobs=1
    )


def test_what_is_plain_to_see_is_found_and_what_is_gone_is_not() -> None:
    data = visible_data()
    for anonymizer, low, high in ((load_anonymizer("raw"), 0.95, 1.0), (Constant(), 0.25, 0.25)):
        versions = anonymize_all(anonymizer, data, codec=None, draws=1, seed=0)
        fresh, attackers = _train(data, versions, "pixel", "c3d-small:4")
        assert [each.name for each in (fresh, *attackers)] == [
            "c3d-small:4", "pixel", "c3d-small:4",
        ]  # fmt: skip
        privacy = privacy_section(data, attackers, 0, 0)
        assert low <= privacy["leak"] <= high
        assert privacy["chance"] == 1 / LEVELS
        target = target_section(data, fresh, None, 0, 0)
        assert target["retrained_accuracy"] == (1.0 if high == 1.0 else 0.5)


def test_the_test_split_chooses_nothing() -> None:
    """Other test clips with random labels: same curves, same weights; raw clips are not read."""
    rng = np.random.default_rng(5)
    extra, found = visible_split(8, 9), []
    for seed in (2, 3):
        data = visible_data(train=32, test=16, test_seed=seed)
        clips = np.concatenate([extra.clips, data.test.clips[8:]])
        labels = rng.integers(0, 2, len(clips))
        test = replace(data.test, clips=clips, target=labels, private=labels)
        data = replace(data, test=test)
        versions = anonymize_all(Recorder(), data, codec=None, draws=1, seed=0)
        gone = [replace(part, clips=np.zeros_like(part.clips)) for part in map(data.split, SPLITS)]
        blank = replace(data, train=gone[0], val=gone[1], test=gone[2])
        fresh, attackers = _train(blank, versions, "pixel")
        found.append([fresh, *attackers])
    for one, other in zip(*found, strict=True):
        assert one.fitted.curve == other.fitted.curve
        assert one.fitted.validation > 0.8
        assert np.array_equal(one.logits[0][:8], other.logits[0][:8])
        assert not np.array_equal(one.logits[0][8:], other.logits[0][8:])


def test_side_by_side_is_the_same_as_one_after_the_other() -> None:
    data = visible_data(train=16, val=8, test=8)
    versions = anonymize_all(Recorder(), data, codec=None, draws=1, seed=0)
    fit = FIT.model_copy(update={"cap": 1})
    alone, together = (
        train_on_versions(
            data, versions, "c3d-small:4", ["difference", "cnn"], target_fit=fit, attacker_fit=fit,
            jobs=jobs,
        )
        for jobs in (1, 2)
    )  # fmt: skip
    for one, other in zip((alone[0], *alone[1]), (together[0], *together[1]), strict=True):
        assert one.name == other.name
        assert one.fitted.curve == other.fitted.curve
        assert np.array_equal(one.logits[0], other.logits[0])


def test_a_terminal_names_attackers_as_they_finish(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = visible_data(train=16, val=8, test=8)
    versions = anonymize_all(Recorder(), data, codec=None, draws=1, seed=0)
    fit = FIT.model_copy(update={"cap": 1})

    def shown(stream: io.StringIO) -> str:
        monkeypatch.setattr(sys, "stderr", stream)
        train_on_versions(
            data, versions, "c3d-small:4", ["pixel"], target_fit=fit, attacker_fit=fit, jobs=1
        )
        run_attacks(data, versions, {"retrieve": "pixel"}, fit=fit, jobs=1)
        return stream.getvalue()

    screen = shown(Terminal())
    assert re.search(r"attackers.*2/2", screen)
    assert re.search(r"attackers.*pixel \d+\.\d%", screen)
    assert re.search(r"attacks.*1/1.*retrieve", screen)
    assert shown(io.StringIO()) == ""
    assert capsys.readouterr().out == ""


def test_both_sides_of_the_codec_are_measured() -> None:
    data = visible_data(train=16, val=8, test=8)
    views = anonymize_all(Recorder(), data, codec="h264:crf=40", draws=1, seed=0)
    _, (attacker,) = _train(data, views, "pixel")
    assert len(attacker.logits) == 2
    assert all(logits.shape == (8, LEVELS) for logits in attacker.logits)
    assert not np.array_equal(*attacker.logits)


# ------------------------------------------------------------ what is counted

FITTED = Fitted(
    0.75,
    2,
    1.5,
    "plateau",
    tuple({"epoch": e, "train_loss": 1.0, "validation": 0.7} for e in (1, 2)),
)


def _logits(answers: list[int], classes: int) -> npt.NDArray[np.float32]:
    return np.eye(classes, dtype=np.float32)[answers]


def _measured(name: str, *views: npt.NDArray[np.float32]) -> Measured:
    return Measured(name, f"{name}-kind", 123, FITTED, views)


def test_privacy_by_hand(tmp_path: Path) -> None:
    data = visible_data(train=8, val=4, test=8)  # private labels 0 1 2 3 0 1 2 3
    first = _logits([0, 1, 0, 0, 0, 1, 0, 0], 4)  # 4 of 8
    second = _logits([0, 1, 2, 3, 0, 1, 2, 0], 4)  # 7 of 8
    third = _logits([0, 0, 0, 0, 0, 0, 0, 0], 4)  # 2 of 8
    attackers = [_measured("a", first, third), _measured("b", second, third)]
    attackers.append(_measured("c", third, first))

    found = privacy_section(data, attackers, 0, seed=1)
    assert (found["metric"], found["leak"], found["best"]) == ("accuracy", 7 / 8, "b")
    assert found["mean"] == pytest.approx((4 + 7 + 2) / 24)
    assert found["chance"] == 0.25
    assert found["blind_loss"] == pytest.approx(math.log(4))
    assert [row["accuracy"] for row in found["attackers"]] == [4 / 8, 7 / 8, 2 / 8]
    assert found["leak_by_n"] == pytest.approx(best_of([4 / 8, 7 / 8, 2 / 8]))
    assert found["leak_by_n"][-1] == pytest.approx(found["leak"])
    low, high = found["interval"]
    assert 0.5 <= low < 7 / 8 <= high == 1.0
    assert found["attackers"][0] == {
        "name": "a", "family": "a-kind", "accuracy": 0.5, "parameters": 123, "validation": 0.75,
        "epochs": 2, "seconds": 1.5, "stopped": "plateau", "curve": list(FITTED.curve),
    }  # fmt: skip
    stored = privacy_section(data, attackers, 1, seed=1)
    assert (stored["leak"], stored["best"]) == (4 / 8, "c")

    result = example_result()
    result["privacy"], result["codec"]["privacy"] = found, stored
    fresh = _measured("c3d-small:4", _logits([0] * 8, 2), _logits([1] * 8, 2))
    result["target"] = target_section(data, fresh, None, 0, 1)
    result["codec"]["target"] = target_section(data, fresh, _logits([0] * 8, 2), 1, 1)
    write_result(tmp_path / "r.json", result)
    assert read_result(tmp_path / "r.json")["privacy"]["best"] == "b"


def test_attacks_count_for_the_leak_alone() -> None:
    data = visible_data(train=8, val=4, test=8)  # private labels 0 1 2 3 0 1 2 3
    weak, strong = _logits([0] * 8, 4), _logits([0, 1, 2, 3, 0, 1, 0, 0], 4)  # 2 and 6 of 8
    attackers = [_measured("a", weak, strong), _measured("b", weak, weak)]
    attack = Attacked("retrieve", (strong, weak), ({"map": 0.5}, {"map": 0.25}))
    found = privacy_section(data, attackers, 0, 0, [attack])
    assert (found["leak"], found["best"]) == (6 / 8, "retrieve")
    assert (found["mean"], found["leak_by_n"]) == (2 / 8, [2 / 8, 2 / 8])
    assert [row["name"] for row in found["attackers"]] == ["a", "b"]
    assert found["attacks"]["retrieve"].items() >= {"accuracy": 6 / 8, "map": 0.5}.items()
    low, high = found["interval"]
    assert low < 6 / 8 <= high
    assert found["attacks"]["retrieve"]["interval"][0] <= low
    stored = privacy_section(data, attackers, 1, 0, [attack])
    assert (stored["leak"], stored["best"]) == (6 / 8, "a")
    assert stored["attacks"]["retrieve"].items() >= {"accuracy": 2 / 8, "map": 0.25}.items()
    assert "attacks" not in privacy_section(data, attackers, 0, 0)


def test_target_by_hand() -> None:
    data = visible_data(train=8, val=4, test=8)  # target labels 0 0 0 0 1 1 1 1
    fresh = _measured("f", _logits([0, 0, 0, 1, 1, 1, 1, 1], 2), _logits([1] * 8, 2))
    own = _logits([0, 0, 0, 0, 0, 0, 1, 1], 2)
    found = target_section(data, fresh, own, 0, seed=0)
    assert found["accuracy"] == 6 / 8
    assert found["own_interval"][0] < 6 / 8 <= found["own_interval"][1]
    assert found["retrained_accuracy"] == 7 / 8
    assert found["chance"] == 0.5
    low, high = found["interval"]
    assert low < 7 / 8 <= high
    assert (found["model"], found["epochs"], found["stopped"]) == ("f", 2, "plateau")
    assert found["curve"] == list(FITTED.curve)
    stored = target_section(data, fresh, None, 1, seed=0)
    assert stored["accuracy"] is None
    assert stored["retrained_accuracy"] == 4 / 8


def _average_precision(labels: list[int], scores: list[float]) -> float:
    """Mean, over the positives, of the share of positives among all ranked as high."""
    ranked = [label for _, label in sorted(zip(scores, labels, strict=True), reverse=True)]
    hits = [sum(ranked[: i + 1]) / (i + 1) for i, label in enumerate(ranked) if label]
    return float(np.mean(hits))


def test_attributes_are_counted_by_average_precision() -> None:
    data = visible_data(train=8, val=4, test=8)
    rng = np.random.default_rng(0)
    labels = np.array([[1, 0], [0, 0], [1, 1], [0, 1], [0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    names = LabelSet("hat,coat", ("hat", "coat"), multi_label=True)
    data = replace(data, private=names, test=replace(data.test, private=labels))
    logits = [rng.normal(size=(8, 2)).astype(np.float32) for _ in range(2)]
    found = privacy_section(data, [_measured("a", logits[0]), _measured("b", logits[1])], 0, 0)
    expected = [
        np.mean([_average_precision(labels[:, k].tolist(), one[:, k].tolist()) for k in (0, 1)])
        for one in logits
    ]
    assert found["metric"] == "cmap"
    assert [row["accuracy"] for row in found["attackers"]] == pytest.approx(expected)
    assert found["leak"] == pytest.approx(max(expected))
    assert found["best"] == "ab"[int(np.argmax(expected))]
    assert found["chance"] == pytest.approx(0.5)
