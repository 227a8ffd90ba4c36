"""Labelled clips in memory (or memory-mapped), split three ways: what every data set becomes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from unseen.types import StoredClips

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class LabelSet:
    """What a label column means.

    Attributes:
        name: the column (or the columns, joined by commas).
        classes: class names of a one-of-k label; attribute names of a multi-label one.
        multi_label: False: exactly one class per clip, stored as `int64 (clips,)`. True: each
            attribute is 0 or 1, stored as `float32 (clips, attributes)`.
    """

    name: str
    classes: tuple[str, ...]
    multi_label: bool = False


@dataclass(frozen=True)
class Split:
    """One split.

    Attributes:
        clips: `uint8 (clips, time, height, width, 3)`, RGB; an array or a memory map.
        target: labels of the target task, see `LabelSet`.
        private: labels of the private attribute, see `LabelSet`.
        boxes: per kind (`face`, `body`) `float32 (clips, time, boxes, 4)`, pixels, NaN = absent.
    """

    clips: StoredClips
    target: npt.NDArray[Any]
    private: npt.NDArray[Any]
    boxes: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.clips)

    def part(self, which: slice) -> "Split":
        """Some of its clips, as a view."""
        return Split(
            self.clips[which],
            self.target[which],
            self.private[which],
            {kind: boxes[which] for kind, boxes in self.boxes.items()},
        )


@dataclass(frozen=True)
class ClipDataset:
    """A data set with its three splits.

    Attributes:
        name: `duet`, or the manifest's file name.
        target: the target task.
        private: the private attribute.
        fps: frames per second of the clips.
        synthetic: True when no real person is in it; previews of raw frames are then harmless.
        hash: SHA-256 over clips and labels of all splits, hexadecimal.
    """

    name: str
    target: LabelSet
    private: LabelSet
    train: Split
    val: Split
    test: Split
    fps: float
    synthetic: bool
    hash: str

    def split(self, name: SplitName) -> Split:
        """The split of that name."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]


def hash_splits(splits: Mapping[SplitName, Split]) -> str:
    """SHA-256 over shapes, clips and labels of all splits, hexadecimal."""
    sha = hashlib.sha256()
    for name in SPLITS:
        split = splits[name]
        for array in (split.clips, split.target, split.private):
            sha.update(f"{name} {array.shape} {array.dtype}".encode())
            for row in array:
                sha.update(np.ascontiguousarray(row).tobytes())
    return sha.hexdigest()
