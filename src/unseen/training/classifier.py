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
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.config import FitConfig
from unseen.data.clips import LabelSet
from unseen.models.base import ClipClassifier, Sees
from unseen.training.batches import Order, augmented, frames_in_a_row, some_frames
from unseen.training.metrics import score
from unseen.types import Logits, StoredClips, to_clips


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
    """
    start = time.perf_counter()
    model.to(device)
    rng = np.random.default_rng([config.seed, 7])
    torch.manual_seed(config.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )
    clips = len(labels)
    per_epoch = math.ceil(config.epoch_clips / config.batch)
    warm_up = per_epoch
    best, best_weights, stale, drops, step = -1.0, _copy(model), 0, 0, 0
    curve: list[dict[str, float]] = []
    order = Order(clips, min(config.batch, clips), config.seed)
    stopped = "cap"
    for epoch in range(1, config.cap + 1):
        model.train()
        total = 0.0
        for _ in range(per_epoch):
            chosen = order.at(step)
            x = _batch(rng, draws, chosen, config.frames, model.sees, device)
            y = torch.from_numpy(labels[chosen]).to(device)
            step += 1
            for group in optimizer.param_groups:
                group["lr"] = config.lr * min(1.0, step / warm_up) * 0.2**drops
            loss = label_loss(model(x), y, label_set)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            total += float(loss.detach())
        validation = float(
            np.mean([score(predict(model, v, device), val_labels, label_set) for v in val_draws])
        )
        curve.append({"epoch": epoch, "train_loss": total / per_epoch, "validation": validation})
        if each_epoch is not None:
            each_epoch(validation)
        if validation > best:
            best, best_weights, stale = validation, _copy(model), 0
        elif epoch > config.least:
            stale += 1
        if best >= 1.0:
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


def _batch(
    rng: np.random.Generator,
    draws: Sequence[StoredClips],
    chosen: npt.NDArray[np.int64],
    frames: int,
    sees: Sees,
    device: torch.device | str,
) -> Tensor:
    source = rng.integers(len(draws), size=len(chosen))
    stored = np.stack([draws[d][i] for d, i in zip(source, chosen, strict=True)])
    if sees == "frames":
        stored = some_frames(stored, frames, rng)
    elif sees == "differences":
        stored = frames_in_a_row(stored, frames + 1 if frames else 0, rng)
    return to_clips(augmented(stored, rng), device)
