"""Labelled clips in memory (or memory-mapped), split three ways: what every data set becomes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from unseen.anonymizers.base import Anonymizer, BoxKind
from unseen.config import DataConfig
from unseen.errors import ConfigError
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
            attribute is 0 or 1, stored as `float32 (clips, attributes)`; in a test split it may be
            NaN, where it is not known.
    """

    name: str
    classes: tuple[str, ...]
    multi_label: bool = False


NO_LABELS = LabelSet("none", (), multi_label=True)
"""Of a data set that is asked for the other task alone: no column, `float32 (clips, 0)`."""


@dataclass(frozen=True)
class BoxSource:
    """What found boxes that a data set does not have of its own.

    Attributes:
        kind: of the boxes.
        detector: its name, `centerface` or `torchvision:NAME`.
        threshold: the least score of a box, in [0, 1].
        weights: SHA-256 of the detector's weights, hexadecimal.
    """

    kind: BoxKind
    detector: str
    threshold: float
    weights: str


@dataclass(frozen=True)
class Split:
    """One split.

    Attributes:
        clips: `uint8 (clips, time, height, width, 3)`, RGB; an array or a memory map.
        target: labels of the target task, see `LabelSet`.
        private: labels of the private attribute, see `LabelSet`.
        boxes: per kind (`face`, `body`) `float32 (clips, time, boxes, 4)`, pixels, NaN = absent.
        videos: which video or other recording each clip is of, as a number; None: each is of one of
            its own. Intervals are drawn over them.
    """

    clips: StoredClips
    target: npt.NDArray[Any]
    private: npt.NDArray[Any]
    boxes: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    videos: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def part(self, which: slice) -> "Split":
        """Some of its clips, as a view."""
        return Split(
            self.clips[which],
            self.target[which],
            self.private[which],
            {kind: boxes[which] for kind, boxes in self.boxes.items()},
            None if self.videos is None else self.videos[which],
        )


@dataclass(frozen=True)
class ClipDataset:
    """A data set with its three splits.

    Attributes:
        name: as it was asked for (`duet`, `ucf101:1`), or the manifest's file name.
        target: the target task.
        private: the private attribute.
        fps: frames per second of the clips.
        synthetic: True when no real person is in it; previews of raw frames are then harmless.
        hash: SHA-256 over clips and labels of all splits, hexadecimal.
        still: True when nothing moves in any of its clips.
        other: the data set that has the private attribute, where this one does not, see `across`.
        found: what found its boxes; empty where they are its own, or it has none.
        config: the settings by which it was loaded, see `unseen.data.load`; None where it was made
            in another way.
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
    still: bool = False
    other: "ClipDataset | None" = None
    found: tuple[BoxSource, ...] = ()
    config: DataConfig | None = None

    @property
    def private_data(self) -> "ClipDataset":
        """Where the private attribute is learned and its leak measured: `other`, or this one."""
        return self.other or self

    def split(self, name: SplitName) -> Split:
        """The split of that name."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]


def across(target: ClipDataset, private: ClipDataset) -> ClipDataset:
    """Two data sets as one: cross-data-set training (Wu18 4.2, Wang19 3.6).

    The target task is that of the first, the private attribute that of the second: L_T and A_T are
    of clips of the first, J_B, L_B and the leak of clips of the second, its `private_data`. One f_D
    is for both.

    Args:
        target: its private labels are not read.
        private: its target labels are not read.
    """
    both = hashlib.sha256(f"{target.hash} {private.hash}".encode()).hexdigest()
    synthetic = target.synthetic and private.synthetic
    return replace(target, private=private.private, synthetic=synthetic, hash=both, other=private)


def refuse_stills(anonymizer: Anonymizer, data: ClipDataset) -> None:
    """Raise where an anonymizer that sees only what moves would meet what does not.

    It would put out the same for all of them, and they would seem to leak nothing.
    """
    if data.still and not anonymizer.sees_stills:
        raise ConfigError(
            f"nothing moves in the clips of '{data.name}' and this filter sees only what moves: "
            "their leak would be nothing, whatever the filter lets pass of video; let pictures "
            "drift (data.stills=pan), or take the motion limit out of filter.input_limits"
        )


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
