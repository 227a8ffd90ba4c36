"""Clips whose labels are plain to see: a stripe is the target, brightness the private attribute."""

import numpy as np

from unseen.config import FitConfig
from unseen.data.clips import ClipDataset, LabelSet, Split, hash_splits

SIZE, FRAMES, LEVELS = 16, 4, 4
FIT = FitConfig(epoch_clips=48, batch=16, lr=1e-2, least=20, patience=5, drops=0, cap=30)


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
