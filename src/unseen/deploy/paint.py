"""Frames through an anonymizer: whole ones, or the faces in them. Its output is checked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from unseen.anonymizers.base import Anonymizer, Step
from unseen.anonymizers.baselines import resize_faces
from unseen.data.codec import Image
from unseen.data.decode import fitted, letterbox
from unseen.errors import UnseenError, VideoError
from unseen.faces.region import Act, Patch
from unseen.types import Boxes, Clips, Frames, from_frames, to_clips, to_frames, to_stored

# What rounding in float32 may overshoot [0, 1] by.
_ROUNDING = 1e-4
# Seconds by which times differ for rounding alone; of two frames as near, the later one is taken.
_SAME_TIME = 1e-4


def _resize(clips: Clips, height: int, width: int) -> Float[Tensor, "batch 3 time out_h out_w"]:
    """Frames by area averages where both sides shrink, else bilinear."""
    old = [*clips.shape[-2:]]
    if old == [height, width]:
        return clips
    frames = to_frames(clips)
    if height <= old[0] and width <= old[1]:
        frames = interpolate(frames, (height, width), mode="area")
    else:
        frames = interpolate(frames, (height, width), mode="bilinear", align_corners=False)
    return from_frames(frames, len(clips))


def _step(
    anonymizer: Anonymizer, clips: Clips, state: Any, where: str, boxes: Boxes | None = None
) -> Step:
    """One step, its output checked for what the interface promises."""
    what = f"anonymizer '{anonymizer.name}' failed at {where}"
    try:
        step = anonymizer.step(clips, state, boxes)
    except UnseenError:
        raise
    except Exception as error:
        raise VideoError(f"{what}: {error}") from error
    if step.clips.shape != clips.shape:
        raise VideoError(
            f"{what}: its output is {tuple(step.clips.shape)}, not {tuple(clips.shape)}"
        )
    low, high = float(step.clips.min()), float(step.clips.max())
    # Written so that NaN, for which every comparison is false, is refused.
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise VideoError(f"{what}: its output reaches from {low:g} to {high:g}, not from 0 to 1")
    return step


@dataclass(frozen=True)
class _Pace:
    """When frames are anonymized anew: those that are nearest to the rate it was made for.

    By the frames' own times: a file may declare another rate than it has.

    Attributes:
        made: the time of the last frame that was, in seconds.
        before: the time of the last frame of all.
    """

    made: float
    before: float

    def due(self, time: float, made_for: float | None) -> bool:
        """Whether the frame of this time is nearer than the one before it to when one is wanted."""
        if made_for is None:
            return True
        reached = time + (time - self.before) / 2
        return reached > self.made + 1 / made_for + _SAME_TIME


class WholeFrames:
    """Anonymizes whole frames of one video, stretch after stretch.

    What has a working size gets frames as data sets are read, fitted into a square of it with black
    around them (`letterbox`), and its output is enlarged: so much was measured, and nothing finer
    goes out. Of a video that is faster than what the anonymizer was made for
    (`Anonymizer.frame_rate`), only every n-th frame is anonymized, and stands for those after it:
    motion and noise are then about as in training, and nobody averages the noise of many more
    frames than the leak was measured with (of 1.5 times as many at most).

    Args:
        anonymizer: in evaluation mode, on `device`.
        source: what is anonymized, for messages.
        device: where.
    """

    def __init__(self, anonymizer: Anonymizer, source: object, device: torch.device | str) -> None:
        self.anonymizer, self.source, self.device = anonymizer, source, device
        self._pace: _Pace | None = None
        self._state: Any = None
        self._last: Image | None = None

    def __call__(
        self, images: Sequence[Image], times: Sequence[float], first: int
    ) -> Sequence[Image]:
        """The next frames, anonymized; `first` is the number of the first of them."""
        chosen = [n for n, time in enumerate(times) if self._due(time)]
        made = dict(zip(chosen, self._made([images[n] for n in chosen], first), strict=True))
        shown = []
        for n in range(len(images)):
            self._last = made.get(n, self._last)
            assert self._last is not None  # the first frame of all is always due
            shown.append(self._last)
        return shown

    def _due(self, time: float) -> bool:
        due = self._pace is None or self._pace.due(time, self.anonymizer.frame_rate)
        self._pace = _Pace(time if due or self._pace is None else self._pace.made, time)
        return due

    def _made(self, images: Sequence[Image], first: int) -> Sequence[Image]:
        if not images:
            return []
        height, width = images[0].shape[:2]
        size = self.anonymizer.working_size
        top, left, rows, columns = 0, 0, height, width
        if size is not None:
            (top, left), (rows, columns) = fitted(images[0], size)
            images = [letterbox(image, size) for image in images]
        clips = to_clips(np.stack(images)[None], self.device)
        where = f"frame {first} of {self.source}"
        step = _step(self.anonymizer, clips, self._state, where)
        self._state = step.state
        inside = step.clips[..., top : top + rows, left : left + columns]
        return list(to_stored(_resize(inside, height, width))[0])


@dataclass(frozen=True)
class _OfFace:
    """What is remembered of a face: its pace, the filter's own state, and the last output."""

    pace: _Pace
    state: Any
    shown: Frames


def on_faces(anonymizer: Anonymizer, device: torch.device | str) -> Act:
    """An anonymizer as what is done to each face: told that all it is given is a face.

    Args:
        anonymizer: in evaluation mode, on `device`; made for the size `working_size`, it gets each
            face as a square of that size, and its output is resized back, see `resize_faces`. Of
            faster video it gets every n-th frame of a face, see `WholeFrames`.
        device: where.
    """

    def act(image: Image, state: _OfFace | None, where: str, time: float) -> Patch:
        height, width = image.shape[:2]
        if state is None or state.pace.due(time, anonymizer.frame_rate):
            step = made(image, None if state is None else state.state, where)
            state = _OfFace(_Pace(time, time), step.state, step.clips[:, :, 0])
        shown = resize_faces(state.shown, (height, width))
        later = replace(state, pace=replace(state.pace, before=time))
        return Patch(to_stored(shown[:, :, None])[0, 0], later)

    def made(image: Image, state: Any, where: str) -> Step:
        faces = to_clips(image[None, None], device)[:, :, 0]
        if anonymizer.working_size is not None:
            faces = resize_faces(faces, (anonymizer.working_size, anonymizer.working_size))
        whole = torch.tensor([[[[0.0, 0.0, *faces.shape[:-3:-1]]]]], device=device)
        return _step(anonymizer, faces[:, :, None], state, where, whole)

    return act


@contextmanager
def evaluating(anonymizer: Anonymizer, device: torch.device | str) -> Iterator[None]:
    """The anonymizer on a device, in evaluation mode, without gradients; then as it was."""
    was_training = anonymizer.training
    held = next(chain(anonymizer.parameters(), anonymizer.buffers()), None)
    before = None if held is None else held.device  # asked now: moving changes parameters in place
    anonymizer.to(device).eval()
    try:
        with torch.no_grad():
            yield
    finally:
        anonymizer.train(was_training)
        if before is not None:
            anonymizer.to(before)
