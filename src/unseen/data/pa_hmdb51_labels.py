"""What the annotations of PA-HMDB51 say of a frame and of a video (Wang19 section 5, Table 1)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32

Attribute = Literal["skin_color", "face", "gender", "nudity", "relationship"]
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)


VALUES: Mapping[Attribute, tuple[str, ...]] = {
    "skin_color": (
        "invisible",
        "white",
        "brown/yellow",
        "black",
    ),
    "face": (
        "no face",
        "partial face",
        "whole face",
    ),
    "gender": (
        "cannot tell",
        "male",
        "female",
    ),
    "nudity": (
        "long sleeves and pants",
        "short sleeves or shorts",
        "semi-nudity",
    ),
    "relationship": (
        "cannot tell",
        "can tell",
    ),
}
"""The values of each attribute (Wang19 Table 1); the number in a file is the place here."""


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
    """

    name: str
    action: str
    ranges: Mapping[Attribute, tuple[LabelRange, ...]]

    @property
    def frames(self) -> int:
        """Frames up to the last one that has any label: what the annotations know of the length."""
        ends = (each.end + 1 for ranges in self.ranges.values() for each in ranges)
        return max(ends, default=0)


def frame_labels(video: VideoAnnotation, attribute: Attribute) -> tuple[frozenset[int], ...]:
    """The values of an attribute in each frame.

    A frame in several ranges has the values of all of them; one in none has the empty set, which
    is not the value 0: annotators left out what they could not decide (Wang19 5.4.2).

    Args:
        video: the annotations.
        attribute: which attribute.
    """
    found: list[set[int]] = [set() for _ in range(video.frames)]
    for each in video.ranges[attribute]:
        for values in found[each.start : each.end + 1]:
            values |= each.values
    return tuple(frozenset(values) for values in found)


def binary_label(values: frozenset[int]) -> float:
    """Whether the attribute can be told (Wang19 5.5.1): 1 for any value but 0, NaN for none.

    A frame with several values, 0 among them, is 1: one of the people in it can be told.
    One without a label is NaN, neither yes nor no: leave it out of what is measured. "No" for it
    would count against a model that is right.
    """
    return float(any(values)) if values else math.nan


def binary_frames(video: VideoAnnotation) -> Float32[np.ndarray, "frames attributes"]:
    """The binary labels of each frame: 0, 1 or NaN, in the order of `ATTRIBUTES`."""
    columns = [
        [binary_label(values) for values in frame_labels(video, attribute)]
        for attribute in ATTRIBUTES
    ]
    return np.array(columns, np.float32).T
