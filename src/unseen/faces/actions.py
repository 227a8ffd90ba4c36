"""Frames with face boxes and action boxes: what the action detector learns from (V of Ren18)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

import unseen.data.load  # noqa: F401 - registers the data sets
from unseen.data.action_frames import (
    ActionFrames,
    ActionPicture,
    AnnotatedFrames,
    load_action_frames,
)
from unseen.data.clips import SplitName
from unseen.errors import DataError
from unseen.faces.detect import LEAST_FACE_SCORE, CenterFace


class FacesFound(ActionFrames):
    """The same frames, with faces found by CenterFace in those that come without face boxes.

    A frame is looked at when it is first read; its boxes, not its pixels, are kept.

    Differs from the paper: Ren18 (section 4) keeps what the detector SSH is 0.8 sure of and MTCNN
    confirms; here every face of a score of 0.2 is one, as in what `unseen anonymize` covers.

    Args:
        frames: with or without face boxes.
    """

    def __init__(self, frames: ActionFrames) -> None:
        self.frames, self.name, self.classes = frames, frames.name, frames.classes
        self._found: dict[int, Float32[np.ndarray, "faces 4"]] = {}
        self._detector: CenterFace | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> ActionPicture:
        """Read a frame; `faces` is never None."""
        picture = self.frames[index]
        if picture.faces is not None:
            return picture
        if index not in self._found:
            self._detector = self._detector or CenterFace(LEAST_FACE_SCORE)
            self._found[index] = self._detector(picture.image).boxes
        return replace(picture, faces=self._found[index])

    def of_split(self, split: SplitName) -> "FacesFound":
        """The frames of one split."""
        return FacesFound(self.frames.of_split(split))

    def video_of(self, index: int) -> str:
        """What a frame is from."""
        return self.frames.video_of(index)


def load_frames_with_faces(
    name: str, root: Path | None, split: SplitName, *, side: int
) -> FacesFound:
    """The frames of a split of a data set (`unseen.data.action_frames`), with their faces.

    Args:
        name: of the data set.
        root: its folder, if it has one.
        split: which frames.
        side: height and width in pixels of frames that are generated.

    Raises:
        DataError: the split has no frames, or they are inside videos, where they cannot be read in
            any order.
    """
    frames = load_action_frames(name, root, side=side).of_split(split)
    if not len(frames):
        raise DataError(f"'{name}' has no {split} frames" + (f" in '{root}'" if root else ""))
    if isinstance(frames, AnnotatedFrames):
        inside = next((i for i, each in enumerate(frames.frames) if each.number is not None), None)
        if inside is not None:
            _ = frames[inside]  # raises, with what to do
    return FacesFound(frames)
