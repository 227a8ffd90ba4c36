"""Which clips a step sees: a function of seed and step, so that a resumed run needs no past."""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import UInt8

from unseen.types import StoredClips


class Order:
    """Batches that go through all clips in a new order each epoch.

    Args:
        clips: how many there are.
        batch: how many a batch has.
        seed: of the orders.
    """

    def __init__(self, clips: int, batch: int, seed: int) -> None:
        self.clips, self.batch, self.seed = clips, batch, seed
        self._epoch = functools.lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch]).permutation(self.clips)

    def at(self, step: int) -> npt.NDArray[np.int64]:
        """The clips of batch number `step`."""
        positions = np.arange(step * self.batch, (step + 1) * self.batch)
        return np.array([self._epoch(int(p // self.clips))[p % self.clips] for p in positions])


def drawn(
    draws: Sequence[StoredClips], chosen: npt.NDArray[np.int64], rng: np.random.Generator
) -> UInt8[np.ndarray, "chosen time height width 3"]:
    """The chosen clips, each from one of several versions, at random."""
    source = rng.integers(len(draws), size=len(chosen))
    return np.stack([draws[d][i] for d, i in zip(source, chosen, strict=True)])


def faded(begin: StoredClips, end: StoredClips, share: float) -> StoredClips:
    """Clips between two versions of them: `begin` at a share of 0, `end` at 1."""
    between = begin + np.float32(share) * (end.astype(np.float32) - begin)
    clips: StoredClips = between.round().astype(np.uint8)
    return clips


def augmented(stored: StoredClips, rng: np.random.Generator) -> StoredClips:
    """Clips mirrored half of the time and moved by up to 1/12 of their size, edges repeated.

    Neither changes what is done nor by whom; without it small sets are learned by heart.
    """
    height, width = stored.shape[2:4]
    reach = (height // 12, width // 12)
    out = np.empty_like(stored)
    rows, columns = np.arange(height), np.arange(width)
    for i, clip in enumerate(stored):
        dy = int(rng.integers(-reach[0], reach[0] + 1))
        dx = int(rng.integers(-reach[1], reach[1] + 1))
        x = np.clip(columns + dx, 0, width - 1)
        if rng.random() < 0.5:
            x = x[::-1]
        out[i] = clip[:, np.clip(rows + dy, 0, height - 1)][:, :, x]
    return out


def some_frames(
    stored: StoredClips, count: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "clips picked height width 3"]:
    """`count` frames of each clip, in order, chosen at random for each; all where 0 or too many."""
    frames = stored.shape[1]
    if not 0 < count < frames:
        return stored
    picked = np.stack([np.sort(rng.permutation(frames)[:count]) for _ in stored])
    return np.take_along_axis(stored, picked[:, :, None, None, None], 1)


def frames_in_a_row(
    stored: StoredClips, count: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "clips picked height width 3"]:
    """`count` neighbouring frames of each clip, from a random one on; all where 0 or too many."""
    frames = stored.shape[1]
    if not 0 < count < frames:
        return stored
    first = rng.integers(frames - count + 1, size=len(stored))
    picked = first[:, None] + np.arange(count)
    return np.take_along_axis(stored, picked[:, :, None, None, None], 1)
