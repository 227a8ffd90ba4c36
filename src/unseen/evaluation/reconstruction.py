"""The reconstruction attack: a network learns to undo the anonymizer, an identifier looks at it.

The attacker has the anonymizer, passes raw video of their own through it, and trains a network on
the pairs. What it makes of anonymized test clips is shown to an identifier that was trained on raw
video and knows nothing of anonymizers: what it names was told by the video. Anonymizers that stood
against models of raw video fell to this (Hanisch et al., "A False Sense of Privacy", 2024; Todt et
al., "Fantômas", 2024).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.config import FitConfig
from unseen.data.clips import SPLITS
from unseen.evaluation.attacks import Attacked, AttackJob
from unseen.evaluation.similarity import psnr, ssim
from unseen.models import create_model, parameter_count
from unseen.models.video_attackers import conv3d
from unseen.training.batches import Order, augmented, drawn
from unseen.training.classifier import Fitted, fit, predict, until_plateau
from unseen.training.metrics import score
from unseen.types import Clips, StoredClips, to_clips, to_stored

_BATCH = 16


class Inverter(nn.Module):
    """Anonymized clips `(batch, 3, time, height, width)` in [0, 1] to raw ones of the same shape.

    A U-Net (Ronneberger et al. 2015) with convolutions over space and over time in turn. It halves
    space three times and time twice, and sees the whole clip, not only the past. Squares of 2x2
    pixels are channels outside of it: no pixel is lost, at a quarter of the cost.

    Args:
        width: channels of the first level.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 4 * width)
        strides = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (1, 2, 2))
        self.down, self.narrow, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = 12
        for outputs, stride in zip(widths, strides, strict=True):
            self.down.append(_space_time(channels, outputs, stride))
            channels = outputs
        for outputs in reversed(widths[:-1]):
            self.narrow.append(nn.Conv3d(channels, outputs, 1))
            self.up.append(_space_time(2 * outputs, outputs, (1, 1, 1)))
            channels = outputs
        self.last = nn.Conv3d(channels, 12, 1)

    def forward(self, clips: Clips) -> Clips:
        """What the clips may have been."""
        height, width = clips.shape[3:]
        even = F.pad(clips, (0, width % 2, 0, height % 2, 0, 0), mode="replicate")
        x = F.pixel_unshuffle(even.transpose(1, 2), 2).transpose(1, 2)
        levels = []
        for down in self.down:
            x = down(x)
            levels.append(x)
        for narrow, up, level in zip(self.narrow, self.up, reversed(levels[:-1]), strict=True):
            x = up(torch.cat([F.interpolate(narrow(x), level.shape[2:]), level], 1))
        pixels = F.pixel_shuffle(self.last(x).transpose(1, 2), 2).transpose(1, 2)
        return torch.sigmoid(pixels[..., :height, :width])


def _space_time(inputs: int, outputs: int, stride: tuple[int, int, int]) -> nn.Module:
    return nn.Sequential(
        conv3d(inputs, outputs, (1, 3, 3), (1, *stride[1:])),
        conv3d(outputs, outputs, (3, 1, 1), (stride[0], 1, 1)),
    )


def reconstruction_loss(made: Clips, raw: Clips) -> Tensor:
    """Mean absolute error of pixels, plus that of differences of neighbours across and down."""
    error = made - raw
    return error.abs().mean() + error.diff(dim=3).abs().mean() + error.diff(dim=4).abs().mean()


def fit_inverter(
    inverter: Inverter,
    draws: Sequence[StoredClips],
    raw: StoredClips,
    val_draws: Sequence[UInt8[np.ndarray, "val_clips time height width 3"]],
    val_raw: UInt8[np.ndarray, "val_clips time height width 3"],
    config: FitConfig,
    device: torch.device | str = "cpu",
) -> Fitted:
    """Train until the loss on validation clips stops falling; ends with the best weights.

    Args:
        inverter: what is trained.
        draws: versions of the anonymized training clips; each batch takes each clip from one.
        raw: the training clips before the anonymizer.
        val_draws: versions of the anonymized validation clips.
        val_raw: the validation clips before the anonymizer.
        config: see `FitConfig`.
        device: where.

    Returns:
        How it went; validation scores are losses with a minus.
    """
    inverter.to(device)
    rng = np.random.default_rng([config.seed, 8])
    order = Order(len(raw), min(config.batch, len(raw)), config.seed)
    frames = raw.shape[1]

    def loss(step: int) -> Tensor:
        chosen = order.at(step)
        # One behind the other in time, both are mirrored and moved alike.
        pairs = np.concatenate([drawn(draws, chosen, rng), raw[chosen]], 1)
        both = to_clips(augmented(pairs, rng), device)
        return reconstruction_loss(inverter(both[:, :, :frames]), both[:, :, frames:])

    @torch.no_grad()
    def validate() -> float:
        inverter.eval()
        losses = [
            float(
                reconstruction_loss(
                    inverter(to_clips(clips[start : start + _BATCH], device)),
                    to_clips(val_raw[start : start + _BATCH], device),
                )
            )
            * len(val_raw[start : start + _BATCH])
            for clips in val_draws
            for start in range(0, len(val_raw), _BATCH)
        ]
        return -sum(losses) / (len(val_raw) * len(val_draws))

    return until_plateau(inverter, loss, validate, config)


@torch.no_grad()
def reconstructed(
    inverter: Inverter, clips: StoredClips, device: torch.device | str = "cpu"
) -> StoredClips:
    """Anonymized clips as the inverter believes they were."""
    inverter.eval()
    parts = [
        to_stored(inverter(to_clips(clips[start : start + _BATCH], device)))
        for start in range(0, len(clips), _BATCH)
    ]
    return np.concatenate(parts)


def reconstruct(job: AttackJob) -> Attacked:
    """Attack by reconstruction; `job.model` is the identifier."""
    train, val, test = (job.clips.versions(name) for name in SPLITS)
    raw_train, raw_val, raw_test = (job.clips.raw(name) for name in SPLITS)
    frames, size = raw_train.shape[1:3]
    torch.manual_seed(job.fit.seed)
    identifier = create_model(job.model, len(job.label_set.classes), size=size, frames=frames)
    fit(
        identifier, [raw_train], job.labels["train"], [raw_val], job.labels["val"], job.label_set,
        job.fit, job.device,
    )  # fmt: skip
    torch.manual_seed(job.fit.seed)
    inverter = Inverter()
    fitted = fit_inverter(inverter, train, raw_train, val, raw_val, job.fit, job.device)
    known = score(predict(identifier, raw_test, job.device), job.labels["test"], job.label_set)
    common = np.broadcast_to(raw_train.mean((0, 1)).round().astype(np.uint8), raw_test.shape)
    logits, figures, shown = [], [], None
    for view in test:
        made = reconstructed(inverter, view, job.device)
        if job.shown:
            shown = made[list(job.shown)]  # of the last view: as it would be stored
        logits.append(predict(identifier, made, job.device))
        figures.append(
            {
                "identifier": identifier.spec,
                "identifier_on_raw": known,
                "reconstructed": _likeness(made, raw_test),
                "anonymized": _likeness(view, raw_test),
                "mean_frame": _likeness(common, raw_test),
                "parameters": parameter_count(inverter),
                "epochs": fitted.epochs,
                "seconds": fitted.seconds,
                "stopped": fitted.stopped,
                "curve": [
                    {
                        "epoch": row["epoch"],
                        "train_loss": row["train_loss"],
                        "validation_loss": -row["validation"],
                    }
                    for row in fitted.curve
                ],
            }
        )
    return Attacked("reconstruct", tuple(logits), tuple(figures), shown)


def _likeness(clips: StoredClips, raw: StoredClips) -> dict[str, float]:
    return {"ssim": ssim(clips, raw), "psnr": psnr(clips, raw)}
