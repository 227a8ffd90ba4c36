"""The reconstruction attack: what it minimises, what it sees, what it finds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from unseen.anonymizers.base import Anonymizer, Step
from unseen.data.clips import ClipDataset
from unseen.evaluation.attacks import Attacked
from unseen.evaluation.protocol import run_attacks
from unseen.evaluation.reconstruction import (
    Inverter,
    fit_inverter,
    reconstructed,
    reconstruction_loss,
)
from unseen.evaluation.similarity import psnr
from unseen.evaluation.versions import anonymize_all
from unseen.types import Boxes, Clips
from visible import FIT, LEVELS, visible_data

# Two stops of the same training: long enough to learn, and hardly begun.
LONG = FIT.model_copy(update={"epoch_clips": 64, "cap": 12})
SHORT = FIT.model_copy(update={"epoch_clips": 16, "cap": 1})


class Negative(Anonymizer):
    """Black for white: nothing is lost, and a model of raw clips takes one level for another."""

    name = "negative"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        return Step(1 - clips)


class Constant(Anonymizer):
    """Grey, whatever comes in."""

    name = "constant"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        return Step(torch.full_like(clips, 0.5))


def _attack(anonymizer: Anonymizer, data: ClipDataset, **options: Any) -> Attacked:
    fit = options.pop("fit", LONG)
    versions = anonymize_all(anonymizer, data, codec=options.pop("codec", None), draws=1, seed=0)
    (found,) = run_attacks(data, versions, {"reconstruct": "pixel"}, fit=fit, jobs=1, **options)
    return found


def test_the_loss_by_hand() -> None:
    rng = np.random.default_rng(0)
    made, raw = rng.random((2, 2, 3, 4, 5, 6)).astype(np.float32)
    error = made - raw
    across = [abs(error[..., x + 1] - error[..., x]) for x in range(5)]
    down = [abs(error[..., y + 1, :] - error[..., y, :]) for y in range(4)]
    expected = np.mean(abs(error)) + np.mean(across) + np.mean(down)
    found = reconstruction_loss(torch.from_numpy(made), torch.from_numpy(raw))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(("time", "height", "width"), [(1, 16, 16), (5, 17, 24), (16, 48, 51)])
def test_any_length_and_size(time: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    inverter = Inverter(8)
    clips = torch.rand(2, 3, time, height, width, requires_grad=True)
    made = inverter(clips)
    assert made.shape == clips.shape
    assert 0 <= float(made.detach().min()) < float(made.detach().max()) <= 1
    made.square().sum().backward()
    silent = [n for n, p in inverter.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
    assert clips.grad is not None
    assert (clips.grad.abs().sum((0, 1, 2)) > 0).all()  # every pixel is seen, the last row too


class Unchanged(Inverter):
    """Hands on what it gets; has weights, as all that is trained."""

    def forward(self, clips: Clips) -> Clips:
        return clips + 0 * self.last.weight.sum()


def test_pairs_are_mirrored_and_moved_alike() -> None:
    """Clips that are their own anonymized versions: moved apart, they would differ."""
    split = visible_data(train=32, val=8, test=8).train
    fitted = fit_inverter(
        Unchanged(8), [split.clips], split.clips, [split.clips], split.clips, SHORT
    )
    assert [(row["train_loss"], row["validation"]) for row in fitted.curve] == [(0.0, 0.0)]


def test_the_loss_falls_and_the_best_weights_are_kept() -> None:
    data = visible_data(train=32, val=8, test=8)
    torch.manual_seed(0)
    inverter = Inverter(8)
    fitted = fit_inverter(
        inverter, [data.train.clips], data.train.clips, [data.val.clips], data.val.clips, LONG
    )
    losses = [-row["validation"] for row in fitted.curve]
    assert -fitted.validation == min(losses) < 0.75 * losses[0]
    made = reconstructed(inverter, data.val.clips)
    error = (made.astype(float) - data.val.clips) / 255
    slopes = sum(float(np.abs(np.diff(error, axis=axis)).mean()) for axis in (2, 3))
    loss = float(np.abs(error).mean()) + slopes
    assert loss == pytest.approx(min(losses), abs=0.004)  # made of 256 levels


def test_what_is_hidden_but_there_is_told_and_what_is_gone_is_not() -> None:
    data = visible_data(test=32)
    found = _attack(Negative(), data, shown=(3, 5))
    (figures,) = found.figures
    assert figures["identifier"] == "pixel"
    assert figures["identifier_on_raw"] > 0.9
    told = found.logits[0].argmax(1) == data.test.private
    assert told.mean() > 0.9
    likeness = {key: figures[key] for key in ("reconstructed", "anonymized", "mean_frame")}
    assert likeness["reconstructed"]["psnr"] > likeness["mean_frame"]["psnr"] + 3
    assert likeness["anonymized"]["psnr"] == pytest.approx(
        psnr(255 - data.test.clips, data.test.clips), abs=0.05
    )
    mean = np.full_like(data.test.clips, 0) + data.train.clips.mean((0, 1)).round().astype(np.uint8)
    assert likeness["mean_frame"]["psnr"] == pytest.approx(psnr(mean, data.test.clips))
    assert found.shown is not None
    error = np.abs(found.shown.astype(float) - data.test.clips[[3, 5]]).mean()
    assert error < np.abs(found.shown.astype(float) - data.test.clips[[4, 6]]).mean() / 2

    gone = _attack(Constant(), data)
    assert (gone.logits[0].argmax(1) == data.test.private).mean() == 1 / LEVELS
    (figures,) = gone.figures
    assert figures["reconstructed"]["psnr"] < figures["mean_frame"]["psnr"] + 1


def test_the_test_split_chooses_nothing() -> None:
    """Other raw test clips with other labels: the same networks, the same answers."""
    data = visible_data(train=16, val=8, test=8)
    other = replace(
        data,
        test=replace(data.test, clips=255 - data.test.clips, private=1 - data.test.private % 2),
    )
    versions = anonymize_all(Negative(), data, codec=None, draws=1, seed=0)
    one, two = (
        run_attacks(each, versions, {"reconstruct": "pixel"}, fit=SHORT, jobs=1)[0]
        for each in (data, other)
    )
    assert one.figures[0]["curve"] == two.figures[0]["curve"]
    assert np.array_equal(one.logits[0], two.logits[0])
    assert one.figures[0]["reconstructed"] != two.figures[0]["reconstructed"]


def test_both_sides_of_the_codec_are_attacked() -> None:
    data = visible_data(train=16, val=8, test=8)
    found = _attack(Negative(), data, fit=SHORT, codec="h264:crf=40", shown=(0,))
    assert len(found.logits) == len(found.figures) == 2
    pixels, stored = found.figures
    assert pixels["anonymized"] != stored["anonymized"]
    assert pixels["reconstructed"] != stored["reconstructed"]
    assert pixels["mean_frame"] == stored["mean_frame"]
    assert pixels["curve"] == stored["curve"]
