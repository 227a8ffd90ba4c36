"""What the annotations of PA-HMDB51 say of a frame, a clip, a video (Wang19 section 5, Table 1)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32

from unseen.errors import DataError

Attribute = Literal["skin_color", "face", "gender", "nudity", "relationship"]
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)


@dataclass(frozen=True)
class Value:
    """What a value of an attribute says; the number itself is its place in `VALUES`.

    Attributes:
        name: a few words.
        meaning: when annotators gave it.
    """

    name: str
    meaning: str


VALUES: Mapping[Attribute, tuple[Value, ...]] = {
    "skin_color": (
        Value("invisible", "the actor's skin colour cannot be seen"),
        Value("white", "the actor's skin is white"),
        Value("brown/yellow", "the actor's skin is brown or yellow"),
        Value("black", "the actor's skin is black"),
    ),
    "face": (
        Value("no face", "less than 10% of the actor's face is seen"),
        Value("partial face", "between 10% and 70% of the actor's face is seen"),
        Value("whole face", "more than 70% of the actor's face is seen"),
    ),
    "gender": (
        Value("cannot tell", "the person's gender cannot be told"),
        Value("male", "an actor"),
        Value("female", "an actress"),
    ),
    "nudity": (
        Value("long sleeves and pants", "wearing long sleeves and pants"),
        Value("short sleeves or shorts", "wearing short sleeves, shorts or a short skirt"),
        Value("semi-nudity", "half naked"),
    ),
    "relationship": (
        Value("cannot tell", "how the actors relate to each other cannot be told"),
        Value("can tell", "how the actors relate (friends, a couple, ...) can be told"),
    ),
}
"""The values of each attribute, after Wang19 Table 1."""


@dataclass(frozen=True)
class LabelRange:
    """A stretch of frames with one label.

    Attributes:
        start: its first frame, counted from 0.
        end: its last frame, which belongs to it.
        values: the value, or the values of several people.
    """

    start: int
    end: int
    values: frozenset[int]


@dataclass(frozen=True)
class VideoAnnotation:
    """The labels of one video.

    Attributes:
        name: its file name in HMDB51, `.avi` included.
        action: its class in HMDB51.
        ranges: the labelled stretches of each attribute, as the file lists them: they may overlap
            and need not cover every frame.
        review: the annotators' own mark.
        note: the annotators' remark; None where there is none.
    """

    name: str
    action: str
    ranges: Mapping[Attribute, tuple[LabelRange, ...]]
    review: bool
    note: str | None = None

    @property
    def frames(self) -> int:
        """Frames up to the last one that has any label: what the annotations know of the length."""
        ends = (each.end + 1 for ranges in self.ranges.values() for each in ranges)
        return max(ends, default=0)


def frame_labels(
    video: VideoAnnotation, attribute: Attribute, frames: int | None = None
) -> tuple[frozenset[int], ...]:
    """The values of an attribute in each frame.

    A frame in several ranges has the values of all of them; one in none has the empty set, which
    is not the value 0: annotators left out what they could not decide (Wang19 5.4.2).

    Args:
        video: the annotations.
        attribute: which attribute.
        frames: how many frames the video has; None: `video.frames`.
    """
    length = video.frames if frames is None else frames
    found: list[set[int]] = [set() for _ in range(length)]
    for each in video.ranges[attribute]:
        for values in found[each.start : each.end + 1]:
            values |= each.values
    return tuple(frozenset(values) for values in found)


def clip_labels(
    video: VideoAnnotation, attribute: Attribute, start: int = 0, end: int | None = None
) -> frozenset[int]:
    """The values of an attribute in a clip: those of all its frames together.

    Differs from the paper: Wang19 does not say how a clip whose frames differ is labelled. Here it
    has what any of its frames has, since one frame that gives a person away is enough.

    Args:
        video: the annotations.
        attribute: which attribute.
        start: the clip's first frame, counted from 0.
        end: the frame after its last; None: the end of the video. By default the clip is the
            whole video.
    """
    if start < 0 or (end is not None and end <= start):
        raise DataError(
            f"'{video.name}': frames {start} to {end} are no clip; start before its end"
        )
    inside = (
        each.values
        for each in video.ranges[attribute]
        if each.end >= start and (end is None or each.start < end)
    )
    return frozenset().union(*inside)


def binary_label(values: frozenset[int]) -> float:
    """Whether the attribute can be told (Wang19 5.5.1): 1 for any value but 0, NaN for none.

    A frame or clip with several values, 0 among them, is 1: one of the people in it can be told.
    One without a label is NaN, neither yes nor no: leave it out of what is measured. "No" for it
    would count against a model that is right.
    """
    return float(any(values)) if values else math.nan


def binary_frames(
    video: VideoAnnotation, frames: int | None = None
) -> Float32[np.ndarray, "frames attributes"]:
    """The binary labels of each frame: 0, 1 or NaN, in the order of `ATTRIBUTES`.

    Args:
        video: the annotations.
        frames: how many frames the video has; None: `video.frames`.
    """
    columns = [
        [binary_label(values) for values in frame_labels(video, attribute, frames)]
        for attribute in ATTRIBUTES
    ]
    return np.array(columns, np.float32).T


def binary_clip(
    video: VideoAnnotation, start: int = 0, end: int | None = None
) -> Float32[np.ndarray, " attributes"]:
    """The binary labels of a clip, see `clip_labels`: 0, 1 or NaN, in the order of `ATTRIBUTES`."""
    labels = [binary_label(clip_labels(video, each, start, end)) for each in ATTRIBUTES]
    return np.array(labels, np.float32)
