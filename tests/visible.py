"""Clips whose labels are plain to see: a stripe is the target, brightness the private attribute.

`pixel` is a model that learns them in a second; only this process knows it.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unseen.config import FitConfig
from unseen.data.clips import ClipDataset, LabelSet, Split, hash_splits
from unseen.models.base import MODELS, ClipClassifier, ModelEntry, Sees
from unseen.types import Clips, Logits

SIZE, FRAMES, LEVELS = 16, 4, 4
FIT = FitConfig(epoch_clips=48, batch=16, lr=1e-2, least=20, patience=5, drops=0, cap=30)


class TimeStatistics(ClipClassifier):
    """A perceptron on each pixel's mean and standard deviation over time."""

    sees: Sees = "clip"

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.pixels = nn.AdaptiveAvgPool2d(size)
        self.net = nn.Sequential(
            nn.BatchNorm2d(6, affine=False),
            nn.Flatten(),
            nn.Linear(6 * size * size, 128),
            nn.BatchNorm1d(128),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(128, classes),
        )

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip."""
        # The square root has no slope at 0, which is what a still pixel has.
        deviation = (clips.var(2, correction=0) + 1e-6).sqrt()
        logits: torch.Tensor = self.net(self.pixels(torch.cat([clips.mean(2), deviation], 1)))
        return logits


MODELS.add(
    "pixel", ModelEntry("pixel", lambda request: TimeStatistics(request.classes, request.size))
)


def visible_split(clips: int, seed: int) -> Split:
    """Balanced: brightness in four steps, a light stripe above or below, a body in a box."""
    rng = np.random.default_rng(seed)
    private = np.arange(clips) % LEVELS
    target = np.arange(clips) // LEVELS % 2
    frames = rng.integers(0, 8, (clips, FRAMES, SIZE, SIZE, 3), np.uint8)
    frames += (30 + 45 * private).astype(np.uint8)[:, None, None, None, None]
    for clip, below in zip(frames, target, strict=True):
        clip[:, 11:14] += 40 * np.uint8(below)
        clip[:, 2:5] += 40 * np.uint8(1 - below)
    body = np.tile(np.array([3, 2, 9, 14], np.float32), (clips, FRAMES, 1, 1))
    return Split(frames, target.astype(np.int64), private.astype(np.int64), {"body": body})


def visible_data(
    train: int = 64, val: int = 16, test: int = 32, *, test_seed: int = 2, synthetic: bool = True
) -> ClipDataset:
    """The three splits; only the test clips depend on `test_seed`."""
    splits = {
        "train": visible_split(train, 0),
        "val": visible_split(val, 1),
        "test": visible_split(test, test_seed),
    }
    return ClipDataset(
        name="visible",
        target=LabelSet("stripe", ("above", "below")),
        private=LabelSet("brightness", tuple(f"level{i}" for i in range(LEVELS))),
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        fps=12.5,
        synthetic=synthetic,
        hash=hash_splits({"train": splits["train"], "val": splits["val"], "test": splits["test"]}),
    )


def apart(data: ClipDataset) -> ClipDataset:
    """The test clips as two recordings: the first clip, and all others."""
    one = np.arange(len(data.test)) > 0
    return replace(data, test=replace(data.test, videos=one.astype(np.int64)))


def over_two(score: float, count: int) -> list[Any]:
    """What the interval over the recordings of `apart` must be: the first clip is right, or wrong.

    In a quarter of all draws it is drawn alone, in a quarter never.
    """
    right = count * score
    possible = []
    if right > 0.5:
        possible.append([(right - 1) / (count - 1), 1.0])
    if right < count - 0.5:
        possible.append([0.0, right / (count - 1)])
    return [pytest.approx(ends) for ends in possible]
