"""Frames with face boxes and action boxes: what the action detector learns from (V of Ren18)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from unseen.data.duet import ACTIONS, generate
from unseen.data.duet_faces import FACE_ACTIONS, action_frame
from unseen.errors import DataError
from unseen.registry import Registry, Spec


@dataclass(frozen=True)
class ActionFrames:
    """Frames, and in each the faces and the actions.

    Attributes:
        frames: `uint8 (frames, height, width, 3)`, RGB.
        faces: `float32 (frames, faces, 4)`, face boxes as detected, pixels, NaN where absent.
        boxes: `float32 (frames, people, 4)`, action boxes, pixels, NaN where absent.
        labels: `int64 (frames, people)`, the action in each box.
        classes: names of the actions.
    """

    frames: UInt8[ndarray, "frames height width 3"]
    faces: Float[ndarray, "frames faces 4"]
    boxes: Float[ndarray, "frames people 4"]
    labels: Int[ndarray, "frames people"]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frames)


Loader = Callable[[Spec, Path | None, int], ActionFrames]
ACTION_FRAMES: Registry[Loader] = Registry("set of action frames")


def load_action_frames(name: str, root: Path | None, side: int) -> ActionFrames:
    """Training frames by name; `side` is the short side in pixels of what is generated."""
    spec = Spec.parse(name)
    frames = ACTION_FRAMES[spec.name](spec, root, side)
    if not len(frames):
        raise DataError(f"'{name}' has no frames to learn from")
    return frames


def _duet(spec: Spec, root: Path | None, side: int) -> ActionFrames:
    """So many generated clips, two frames of each, both people labelled with the interaction."""
    clips = [generate(0, "train", i, size=side, frames=8) for i in range(spec.integer(64))]
    picked = [2, 5]
    return ActionFrames(
        np.concatenate([clip.frames[picked] for clip in clips]),
        np.concatenate([clip.face[picked] for clip in clips]),
        np.concatenate([clip.body[picked] for clip in clips]),
        np.concatenate([np.full((len(picked), 2), clip.action, np.int64) for clip in clips]),
        tuple(ACTIONS),
    )


def _duet_faces(spec: Spec, root: Path | None, side: int) -> ActionFrames:
    """So many generated frames of one person each, with actions at the face and elsewhere."""
    count = spec.integer(600)
    pictures = [action_frame(0, i, size=side) for i in range(count)]
    return ActionFrames(
        np.stack([picture.image for picture in pictures]),
        np.stack([picture.face for picture in pictures])[:, None],
        np.stack([picture.body for picture in pictures])[:, None],
        np.arange(count)[:, None] % len(FACE_ACTIONS),
        FACE_ACTIONS,
    )


ACTION_FRAMES.add("duet", _duet)
ACTION_FRAMES.add("duet-faces", _duet_faces)
