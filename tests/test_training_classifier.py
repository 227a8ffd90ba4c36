"""Training one classifier: it learns, stops, keeps its best weights, and can be repeated."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from unseen.config import FitConfig
from unseen.data.clips import LabelSet
from unseen.errors import RunError
from unseen.models.base import ClipClassifier
from unseen.training.classifier import (
    Fitted,
    blind_loss,
    fit,
    label_loss,
    predict,
    until_plateau,
)
from unseen.training.metrics import score
from unseen.types import StoredClips, to_clips

LABELS = LabelSet("colour", ("red", "green", "blue"))
YES_NO = LabelSet("x,y", ("x", "y"), multi_label=True)


class _Mean(ClipClassifier):
    """A linear classifier of a clip's mean colour; notes how many frames it was shown."""

    def __init__(self, classes: int = 3, sees: str = "frames") -> None:
        super().__init__()
        self.sees = sees  # type: ignore[assignment]
        self.linear = nn.Linear(3, classes)
        self.shown: set[tuple[bool, int]] = set()
        self.batches = 0  # trained on

    def forward(self, clips: Tensor) -> Tensor:
        self.shown.add((self.training, clips.shape[2]))
        self.batches += self.training
        out: Tensor = self.linear(clips.mean((2, 3, 4)))
        return out


def _toy(count: int, seed: int, noise: float = 40.0) -> tuple[StoredClips, np.ndarray]:
    """Clips whose class is their brightest colour."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    clips = 100 + noise * rng.normal(size=(count, 6, 16, 16, 3)).mean((1, 2, 3), keepdims=True)
    clips = np.broadcast_to(clips, (count, 6, 16, 16, 3)).copy()
    clips[np.arange(count), ..., labels] += 25
    return clips.astype(np.uint8), labels.astype(np.int64)


def _model(seed: int = 0, **options: object) -> _Mean:
    torch.manual_seed(seed)
    return _Mean(**options)  # type: ignore[arg-type]


def _fit(
    model: ClipClassifier, config: FitConfig, labels: LabelSet = LABELS, seed: int = 0
) -> Fitted:
    clips, y = _toy(60, seed)
    val, val_y = _toy(30, 100)
    return fit(model, [clips], y, [val], val_y, labels, config)


FAST = FitConfig(epoch_clips=60, lr=0.05, batch=16, cap=30)


def test_it_learns_and_stops_where_nothing_is_left_to_learn() -> None:
    fitted = _fit(_model(), FAST)
    assert fitted.validation == 1.0
    assert fitted.stopped == "plateau"
    assert fitted.epochs == len(fitted.curve) < 30
    assert fitted.curve[-1]["train_loss"] < fitted.curve[0]["train_loss"]
    assert [row["epoch"] for row in fitted.curve] == list(range(1, fitted.epochs + 1))


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_training_that_diverges_is_told_of(multi_label: bool) -> None:
    """Not a model of NaN that leaks nothing, nor scikit-learn's error."""
    labels = LabelSet("a,b,c", ("a", "b", "c"), multi_label=multi_label)
    clips, y = _toy(60, 0)
    truth = np.eye(3, dtype=np.float32)[y] if multi_label else y
    config = FAST.model_copy(update={"lr": 1e38})
    with pytest.raises(RunError, match=r"training diverged: .*smaller step size \(evaluation\."):
        fit(_model(), [clips], truth, [clips], truth, labels, config)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_ends_with_the_best_weights(seed: int) -> None:
    """At a step size that makes the score jump about, the last epoch is not the best."""
    rng = np.random.default_rng(seed)
    clips, labels = _toy(60, seed)
    labels = np.where(rng.random(60) < 0.4, rng.integers(0, 3, 60), labels)
    val, val_y = _toy(30, 100)
    val_y = np.where(rng.random(30) < 0.3, rng.integers(0, 3, 30), val_y)
    model = _model(seed)
    config = FitConfig(epoch_clips=60, lr=1.0, batch=8, cap=8, least=8)
    fitted = fit(model, [clips], labels, [val], val_y, LABELS, config)
    scores = [row["validation"] for row in fitted.curve]
    assert fitted.validation == max(scores) > min(scores)
    assert score(predict(model, val), val_y, LABELS) == fitted.validation
    assert not model.training


def test_step_sizes_fall_from_the_best_weights_and_gradients_are_cut() -> None:
    """AdamW's step is its step size at first: the weight tells it, and where it went on from."""
    model = nn.Linear(1, 1, bias=False)
    seen: list[float] = []
    sizes: list[float] = []
    scores = iter([0.5, 0.4, 0.3, 0.2, 0.1])

    def loss(step: int) -> Tensor:
        seen.append(float(model.weight.detach()))
        value: Tensor = (model.weight * (1e4 if step % 2 == 0 else 1.0)).sum()
        return value

    config = FitConfig(
        epoch_clips=16, batch=8, least=1, patience=1, drops=2, cap=9, lr=0.1, weight_decay=0.01
    )

    class Watched(torch.optim.AdamW):
        def step(self, *arguments: Any) -> Any:
            (group,) = self.param_groups
            sizes.append(group["lr"])
            assert group["weight_decay"] == 0.01
            assert model.weight.grad is not None
            assert float(model.weight.grad.norm()) <= 5.0 + 1e-4
            return super().step(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.optim, "AdamW", Watched)
        fitted = until_plateau(model, loss, lambda: next(scores), config)
    assert (fitted.stopped, fitted.epochs, fitted.validation) == ("plateau", 4, 0.5)
    assert sizes == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.02, 0.02, 0.004, 0.004])
    # The best weights are those after the first epoch: from there it goes on after each fall.
    assert seen[2] == seen[4] == seen[6] == float(model.weight.detach())
    assert len({seen[0], seen[1], seen[2], seen[3]}) == 4


def test_the_same_seed_gives_the_same_weights() -> None:
    config = FitConfig(epoch_clips=60, lr=0.05, batch=16, cap=3)
    one, again, other = _model(), _model(), _model()
    first, second = _fit(one, config), _fit(again, config)
    _fit(other, config.model_copy(update={"seed": 1}))
    assert first.curve == second.curve
    assert torch.equal(one.linear.weight, again.linear.weight)
    assert not torch.equal(one.linear.weight, other.linear.weight)


@pytest.mark.parametrize(("least", "patience", "drops"), [(4, 2, 1), (0, 3, 2), (2, 1, 0)])
def test_it_stops_when_the_score_stays(least: int, patience: int, drops: int) -> None:
    """With a step size of nothing, only the first epoch is a best one."""
    config = FitConfig(
        epoch_clips=60, lr=1e-12, batch=16, least=least, patience=patience, drops=drops, cap=40
    )
    fitted = _fit(_model(), config)
    assert fitted.stopped == "plateau"
    assert fitted.epochs == max(least, 1) + (drops + 1) * patience


def test_it_stops_at_the_cap_and_says_so() -> None:
    fitted = _fit(_model(), FitConfig(epoch_clips=60, lr=1e-12, batch=16, cap=5))
    assert (fitted.stopped, fitted.epochs) == ("cap", 5)
    assert fitted.as_json()["stopped"] == "cap"
    assert fitted.as_json()["curve"] == list(fitted.curve)


def test_frame_wise_models_train_on_some_frames_and_are_judged_on_all() -> None:
    config = FitConfig(epoch_clips=60, batch=16, cap=1, frames=2)
    for sees, trained_on in (("frames", 2), ("clip", 6), ("differences", 3)):
        model = _model(sees=sees)
        _fit(model, config)
        assert model.shown == {(True, trained_on), (False, 6)}
    model = _model()
    _fit(model, config.model_copy(update={"frames": 0}))
    assert model.shown == {(True, 6), (False, 6)}


def test_every_draw_is_trained_on_and_the_score_is_the_mean_over_draws() -> None:
    """A second draw that shows the next class's colour: each colour then means one of two."""
    clips, labels = _toy(60, 0, noise=0.0)
    val, val_y = _toy(30, 1, noise=0.0)
    swapped, val_swapped = np.roll(clips, 1, axis=-1), np.roll(val, 1, axis=-1)
    config = FitConfig(epoch_clips=60, lr=1.0, batch=16, cap=20, least=20)
    one, two = (
        fit(_model(), draws, labels, [val, val_swapped], val_y, LABELS, config)
        for draws in ([clips], [clips, swapped])
    )
    assert one.validation == 0.5  # right on the one, wrong on the other
    assert one.curve[-1]["train_loss"] < two.curve[-1]["train_loss"] - 0.3
    assert two.curve[-1]["train_loss"] > np.log(2) - 0.05  # which of the two cannot be known


def test_attributes_are_learned_too() -> None:
    clips, colours = _toy(60, 0)
    labels = np.stack([colours == 0, colours == 2], 1).astype(np.float32)
    fitted = fit(
        _model(classes=2),
        [clips],
        labels,
        [clips],
        labels,
        YES_NO,
        FitConfig(epoch_clips=60, lr=0.05, batch=16),
    )
    assert fitted.validation > 0.95


def test_losses_are_those_worked_out_by_hand() -> None:
    logits = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    y = torch.tensor([1, 0])
    by_hand = -np.mean([-2 - np.log(np.exp(1) + np.exp(-2)), 0.5 - np.log(np.exp(0.5) + np.exp(3))])
    assert float(label_loss(logits, y, LABELS)) == pytest.approx(by_hand, rel=1e-5)
    many = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    p = 1 / (1 + np.exp(-logits.numpy()))
    q = many.numpy()
    expected = -np.mean(q * np.log(p) + (1 - q) * np.log(1 - p))
    assert float(label_loss(logits, many, YES_NO)) == pytest.approx(expected, rel=1e-5)


def test_a_blind_guess_is_the_best_that_never_sees_a_clip() -> None:
    """No guess that is the same for every clip has a lower loss."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, 400, p=[0.7, 0.3, 0.0])
    frequent = np.log(np.maximum(np.bincount(y, minlength=3) / 400, 1e-30))
    many = (rng.random((400, 2)) < [0.02, 0.6]).astype(np.float32)
    rates = many.mean(0, dtype=np.float64)
    guesses = ((y, LABELS, frequent), (many, YES_NO, np.log(rates / (1 - rates))))
    for labels, names, best in guesses:
        known = torch.from_numpy(labels)

        def lost(guess: npt.NDArray[np.float64], known: Tensor, names: LabelSet) -> float:
            same = torch.tensor(guess, dtype=torch.float32).expand(len(known), -1)
            return float(label_loss(same, known, names))

        assert blind_loss(labels, names) == pytest.approx(lost(best, known, names), rel=1e-5)
        for _ in range(50):
            other = best + rng.normal(0, 0.3, len(best))
            assert lost(other, known, names) > blind_loss(labels, names) - 1e-6
    assert blind_loss(np.arange(8).repeat(3), LABELS) == pytest.approx(np.log(8))


def test_predictions_do_not_depend_on_the_batch() -> None:
    clips, _ = _toy(11, 0)
    model = _model()
    with torch.no_grad():
        expected = model(to_clips(clips)).numpy()
    for batch in (1, 4, 11, 50):
        found = predict(model, clips, batch=batch)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert not model.training


def test_a_small_split_is_gone_through_several_times() -> None:
    """Nine clips and 45 an epoch: each clip is seen five times before the first look."""
    model = _model()
    clips, y = _toy(9, 0)
    config = FitConfig(epoch_clips=45, batch=9, cap=1, lr=1e-12)
    assert fit(model, [clips], y, [clips], y, LABELS, config).epochs == 1
    assert model.batches == 5


class _Brightness(_Mean):
    """Notes how bright each batch is that it learns from."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[float] = []

    def forward(self, clips: Tensor) -> Tensor:
        if self.training:
            self.levels.append(255 * float(clips.mean()))
        return super().forward(clips)


def test_another_version_of_the_clips_fades_and_no_step_size_falls_before_it_is_gone() -> None:
    clips = np.zeros((12, 4, 16, 16, 3), np.uint8)
    labels, model = np.arange(12) % 3, _Brightness()
    config = FitConfig(epoch_clips=12, batch=6, least=0, patience=1, drops=0, cap=9)
    fitted = fit(
        model, [clips], labels, [clips], labels, LABELS, config, begin=clips + np.uint8(200), fade=4
    )
    # Two batches an epoch: gone after eight of them.
    expected = [200, 175, 150, 125, 100, 75, 50, 25]
    assert model.levels[:8] == pytest.approx(expected, abs=0.01)
    assert model.levels[8:] == [0.0] * (len(model.levels) - 8)
    # The score cannot rise: it would have stopped after two epochs.
    assert (fitted.epochs, fitted.stopped) == (5, "plateau")
