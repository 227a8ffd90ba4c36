"""The one interface of all anonymizers, learned and handcrafted."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from unseen.types import Boxes, Clips

BoxKind = Literal["face", "body"]


@dataclass(frozen=True)
class Step:
    """What an anonymizer returns for a stretch of video: clips, and what it must remember."""

    clips: Clips
    state: Any = None


class Anonymizer(nn.Module, ABC):
    """Maps clips to clips of the same shape, both `(batch, 3, time, height, width)` in [0, 1].

    Attributes:
        name: how the command line calls it, option included (`downsample:8`).
        needs_boxes: which boxes it must be given, or None.
        sees_stills: False where it puts out the same for every video in which nothing moves.
        random: whether two passes over the same clip differ (noise): evaluation then keeps
            several draws.
        removes_nothing: whether it puts out what it is given, or comes from a run whose game had no
            steps. That can be measured, and is never written as an anonymized video.
        working_size: the long side in pixels of what it was made for (data sets are fitted into
            squares of it), or None for any. The deployment code resizes to it and back.
        frame_rate: frames a second of what it was made for, or None for any. The deployment code
            thins out faster videos.
        least_side: the short side in pixels below which it would remove nothing; what is smaller
            is blackened where only regions are anonymized. Whole frames are not held against it:
            an anonymizer to which they can be too small refuses them in `step`.
    """

    name: str
    needs_boxes: BoxKind | None = None
    sees_stills: bool = True
    random: bool = False
    removes_nothing: bool = False
    working_size: int | None = None
    frame_rate: float | None = None
    least_side: int = 1

    def learned_people(self) -> frozenset[str] | None:
        """`digest_of` the names of those whose faces it learned from; None where nothing tells.

        Raises:
            RunError: what tells is damaged.
        """
        return frozenset()

    @abstractmethod
    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """Anonymize the next stretch of a video.

        Anonymizers are causal: an output frame depends on this and earlier frames only, and
        processing a video in stretches, handing `state` on, gives what one call would.

        Args:
            clips: the next frames.
            state: what the previous call returned; None at the start of a video.
            boxes: the boxes that `needs_boxes` asks for, in pixels, NaN where absent.
        """

    def forward(self, clips: Clips, boxes: Boxes | None = None) -> Clips:
        """Anonymize whole clips, each from its own beginning."""
        return self.step(clips, None, boxes).clips
