"""Training one classifier on clips that no longer change: attackers, and a fresh f_T."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import UInt8
from scipy.stats import entropy
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.config import FitConfig
from unseen.data.clips import LabelSet
from unseen.errors import RunError
from unseen.models.base import ClipClassifier
from unseen.training.batches import Order, augmented, drawn, faded, frames_in_a_row, some_frames
from unseen.training.gradients import clip_gradients
from unseen.training.metrics import score
from unseen.types import Logits, StoredClips, to_clips

_SMALLER = "use a smaller step size (evaluation.attacker_fit.lr, evaluation.target_fit.lr)"


@dataclass(frozen=True)
class Fitted:
    """What came of a training.

    Attributes:
        validation: the best score on validation clips.
        epochs: trained.
        seconds: taken.
        stopped: `plateau` (converged) or `cap`.
        curve: one row an epoch.
    """

    validation: float
    epochs: int
    seconds: float
    stopped: str
    curve: tuple[dict[str, float], ...]

    def as_json(self) -> dict[str, Any]:
        """For the result file."""
        return {**asdict(self), "curve": list(self.curve)}


def label_loss(logits: Logits, labels: Tensor, label_set: LabelSet) -> Tensor:
    """Cross-entropy; for a multi-label set the mean binary cross-entropy."""
    if label_set.multi_label:
        return F.binary_cross_entropy_with_logits(logits, labels)
    return F.cross_entropy(logits, labels)


def blind_loss(labels: npt.NDArray[Any], label_set: LabelSet) -> float:
    """The loss of a guess that knows how frequent labels are, and never sees a clip, in nats.

    That is their entropy: ln k for k classes of the same size; for a multi-label set the mean of
    the attributes' own, at most ln 2.

    Args:
        labels: `(clips,)` of classes, or `(clips, attributes)` of 0 and 1.
        label_set: what they are of.
    """
    if label_set.multi_label:
        yes = labels.mean(0, dtype=np.float64)
        return float(np.mean(entropy([yes, 1 - yes])))
    return float(entropy(np.bincount(labels)))


@torch.no_grad()
def predict(
    model: nn.Module, stored: StoredClips, device: torch.device | str = "cpu", batch: int = 32
) -> npt.NDArray[np.float32]:
    """Logits `(clips, classes)` of a model in evaluation mode, over all frames."""
    model.eval()
    parts = [
        model(to_clips(stored[start : start + batch], device)).cpu().numpy()
        for start in range(0, len(stored), batch)
    ]
    return np.concatenate(parts)


def fit(
    model: ClipClassifier,
    draws: Sequence[StoredClips],
    labels: npt.NDArray[Any],
    val_draws: Sequence[UInt8[np.ndarray, "val_clips time height width 3"]],
    val_labels: npt.NDArray[Any],
    label_set: LabelSet,
    config: FitConfig,
    device: torch.device | str = "cpu",
    each_epoch: Callable[[float], object] | None = None,
    *,
    begin: StoredClips | None = None,
    fade: int = 0,
) -> Fitted:
    """Train `model` until its validation score stops rising; it ends with the best weights.

    Args:
        model: maps clips to logits.
        draws: one or more versions of the training clips (draws of a random anonymizer, before
            and behind a codec); each batch takes each clip from one of them at random.
        labels: of the training clips.
        val_draws: versions of the validation clips; the score is the mean over them.
        val_labels: of the validation clips.
        label_set: what the labels mean.
        config: see `FitConfig`.
        device: where.
        each_epoch: called with each epoch's validation score.
        begin: another version of the training clips, which fades into `draws`, batch by batch.
        fade: epochs until nothing of it is left; before that no step size falls.

    Raises:
        RunError: a gradient or an output is not finite.
    """
    model.to(device)
    per_epoch = math.ceil(config.epoch_clips / config.batch)
    rng = np.random.default_rng([config.seed, 7])
    order = Order(len(labels), min(config.batch, len(labels)), config.seed)

    def loss(step: int) -> Tensor:
        chosen = order.at(step)
        x = drawn(draws, chosen, rng)
        if begin is not None and step < fade * per_epoch:
            x = faded(begin[chosen], x, step / (fade * per_epoch))
        if model.sees == "frames":
            x = some_frames(x, config.frames, rng)
        elif model.sees == "differences":
            x = frames_in_a_row(x, config.frames and config.frames + 1, rng)
        y = torch.from_numpy(labels[chosen]).to(device)
        return label_loss(model(to_clips(augmented(x, rng), device)), y, label_set)

    def validate() -> float:
        found = [predict(model, version, device) for version in val_draws]
        if not all(np.isfinite(logits).all() for logits in found):
            raise RunError(f"training diverged: {type(model).__name__} is not finite; {_SMALLER}")
        return float(np.mean([score(logits, val_labels, label_set) for logits in found]))

    config = config.model_copy(update={"least": max(config.least, fade)})
    return until_plateau(model, loss, validate, config, perfect=1.0, each_epoch=each_epoch)


def until_plateau(
    model: nn.Module,
    loss: Callable[[int], Tensor],
    validate: Callable[[], float],
    config: FitConfig,
    *,
    perfect: float = math.inf,
    each_epoch: Callable[[float], object] | None = None,
) -> Fitted:
    """Train `model` until its validation score stops rising; it ends with the best weights.

    Args:
        model: all that is trained.
        loss: of a batch that depends on the number of the step, from 0.
        validate: the validation score of `model` as it is, the higher the better.
        config: see `FitConfig`.
        perfect: a score that cannot be bettered.
        each_epoch: called with each epoch's validation score.

    Raises:
        RunError: a gradient is not finite.
    """
    start = time.perf_counter()
    torch.manual_seed(config.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )
    per_epoch = math.ceil(config.epoch_clips / config.batch)
    warm_up = per_epoch
    best, best_weights, stale, drops, step = -math.inf, _copy(model), 0, 0, 0
    curve: list[dict[str, float]] = []
    stopped = "cap"
    for epoch in range(1, config.cap + 1):
        model.train()
        total = 0.0
        for _ in range(per_epoch):
            for group in optimizer.param_groups:
                group["lr"] = config.lr * min(1.0, (step + 1) / warm_up) * 0.2**drops
            value = loss(step)
            step += 1
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            clip_gradients([model], _SMALLER)
            optimizer.step()
            total += float(value.detach())
        validation = validate()
        curve.append({"epoch": epoch, "train_loss": total / per_epoch, "validation": validation})
        if each_epoch is not None:
            each_epoch(validation)
        if validation > best:
            best, best_weights, stale = validation, _copy(model), 0
        elif epoch > config.least:
            stale += 1
        if best >= perfect:
            stopped = "plateau"
            break
        if stale >= config.patience:
            if drops == config.drops:
                stopped = "plateau"
                break
            drops, stale = drops + 1, 0
            model.load_state_dict(best_weights)
    model.load_state_dict(best_weights)
    model.eval()
    return Fitted(best, len(curve), time.perf_counter() - start, stopped, tuple(curve))


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in model.state_dict().items()}
