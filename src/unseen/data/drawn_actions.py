"""Frames with action boxes that are drawn when they are asked for: `duet` and `duet-faces`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from unseen.data.action_frames import ACTION_FRAMES, DRAWN, ActionFrames, ActionPicture
from unseen.data.clips import SplitName
from unseen.data.duet import ACTIONS, generate
from unseen.data.duet_faces import FACE_ACTIONS, action_frame
from unseen.registry import Spec

# Frames of a clip of `duet` that are looked at, of eight.
_PICKED = (2, 5)
# Of `duet-faces`; with earlier frames its settings were chosen. A multiple of its six actions.
_FIRST_TESTED = 600_000


@dataclass(frozen=True)
class DrawnFrames(ActionFrames):
    """Frames of a generated data set, drawn when they are asked for.

    Attributes:
        name: of the data set, with its option.
        classes: names of the actions.
        counts: frames of each split.
        draw: the picture of a split and a number, the same each time; face boxes included.
        per_video: frames in a row that are from one clip.
        splits: those that are here, one after another.
    """

    name: str
    classes: tuple[str, ...]
    counts: dict[SplitName, int]
    draw: Callable[[SplitName, int], ActionPicture]
    per_video: int = 1
    splits: tuple[SplitName, ...] = ("train", "test")

    def __len__(self) -> int:
        return sum(self.counts[split] for split in self.splits)

    def __getitem__(self, index: int) -> ActionPicture:
        """Draw a frame."""
        return self.draw(*self._place(index))

    def of_split(self, split: SplitName) -> "DrawnFrames":
        """The frames of one split; none of one that it does not have."""
        return replace(self, splits=tuple(s for s in self.splits if s == split))

    def video_of(self, index: int) -> str:
        """The clip of a frame."""
        split, number = self._place(index)
        return f"{split}/{number // self.per_video}"

    def _place(self, index: int) -> tuple[SplitName, int]:
        """The split of a frame, and its number there."""
        left = index
        for split in self.splits:
            if 0 <= left < self.counts[split]:
                return split, left
            left -= self.counts[split]
        raise IndexError(f"frame {index} of {len(self)}")


def _counts(train: int) -> dict[SplitName, int]:
    """So many to learn from, and half as many to test on."""
    return {"train": train, "test": max(1, train // 2)}


def _duet(spec: Spec, root: Path | None, side: int) -> ActionFrames:
    """So many clips, two frames of each, both people labelled with the interaction."""
    clips = _counts(spec.integer(64))
    counts = {split: len(_PICKED) * count for split, count in clips.items()}
    return DrawnFrames(
        str(spec), tuple(ACTIONS), counts, partial(_duet_frame, side), per_video=len(_PICKED)
    )


def _duet_frame(side: int, split: SplitName, number: int) -> ActionPicture:
    index, which = divmod(number, len(_PICKED))
    clip = generate(0, split, index, size=side, frames=8)
    at = _PICKED[which]
    boxes, faces = (each[at][~np.isnan(each[at]).any(-1)] for each in (clip.body, clip.face))
    labels = np.full(len(boxes), clip.action, np.int64)
    return ActionPicture(clip.frames[at], boxes, labels, faces)


def _duet_faces(spec: Spec, root: Path | None, side: int) -> ActionFrames:
    """So many frames of one person each, with actions at the face and elsewhere."""
    draw = partial(_duet_faces_frame, side)
    return DrawnFrames(str(spec), FACE_ACTIONS, _counts(spec.integer(600)), draw)


def _duet_faces_frame(side: int, split: SplitName, number: int) -> ActionPicture:
    first = _FIRST_TESTED if split == "test" else 0
    drawn = action_frame(split, first + number, size=side)
    label = np.array([number % len(FACE_ACTIONS)], np.int64)
    return ActionPicture(drawn.image, drawn.body[None], label, drawn.face[None])


ACTION_FRAMES.add("duet", _duet)
ACTION_FRAMES.add("duet-faces", _duet_faces)
DRAWN.update(("duet", "duet-faces"))
