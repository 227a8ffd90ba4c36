"""The frames a detector looks at, the last of which are kept: what was there just before a face was
first seen is looked at afterwards.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from unseen.data.codec import Image
from unseen.errors import UnseenError, VideoError
from unseen.faces.detect import Detections, Detector
from unseen.faces.manual import Excluded
from unseen.faces.places import FURTHEST, enlarged
from unseen.faces.track import Track, Tracker

# Frames of so many seconds are kept, and no more of them than this.
_KEPT, _MOST = 0.21, 12


@dataclass
class _Frame:
    """A frame, and what was found in it, by a closer look or a glance."""

    number: int
    time: float
    image: Image
    found: Detections | None = None
    closely: bool = False


class Looks:
    """Looks and glances at the last frames of a video.

    Args:
        detector: see `unseen.faces.detect.Detector`.
        exclude: regions in which no face is looked for.
        source: the file's name, for messages.
    """

    def __init__(self, detector: Detector, exclude: Sequence[Excluded], source: Path) -> None:
        self.detector, self.exclude, self.source = detector, exclude, source
        self.glance = getattr(detector, "glance", detector)
        self.within = getattr(detector, "within", None)
        self.count = 0
        self._recent: deque[_Frame] = deque(maxlen=_MOST)

    def add(self, number: int, time: float, image: Image) -> None:
        """The next frame."""
        while self._recent and time - self._recent[0].time > _KEPT:
            self._recent.popleft()
        self._recent.append(_Frame(number, time, image))

    def forget(self) -> None:
        """A new scene begins."""
        self._recent.clear()

    def last(self, *, closely: bool = True) -> Detections:
        """What is found in the last frame."""
        return self._at(self._recent[-1], closely)

    def before(self, track: Track, tracker: Tracker, stride: int, *, closely: bool) -> None:
        """Look for the face of a track that begins with the last frame in those before it.

        At every so many of them, as long as it is there and moves: one that rests is covered by
        where it was first seen. Where it is not, also half as far away: it may have been too fast.
        """
        frames = {frame.number: frame for frame in self._recent}
        steps = dict.fromkeys((stride, (stride + 1) // 2))
        while True:
            first = track.frames[0]
            there = (frames[first - step] for step in steps if first - step in frames)
            found = any(self._extend(track, tracker, frame, closely) for frame in there)
            if not found or not track.moves(0):
                return

    def _extend(self, track: Track, tracker: Tracker, frame: _Frame, closely: bool) -> bool:
        if closely and self.within is not None and not frame.closely:
            part = enlarged(track.boxes[0], 1 + 2 * FURTHEST)
            found = self._found(frame, partial(self.within, box=part))
        else:
            found = self._at(frame, closely)
        return tracker.extend(track, frame.number, frame.time, found)

    def _at(self, frame: _Frame, closely: bool) -> Detections:
        if frame.found is None or closely > frame.closely:
            frame.found = self._found(frame, self.detector if closely else self.glance)
            frame.closely = closely
        return frame.found

    def _found(self, frame: _Frame, detector: Detector) -> Detections:
        try:
            found = detector(frame.image)
        except UnseenError:
            raise
        except Exception as error:
            raise VideoError(
                f"the face detector failed at frame {frame.number} of {self.source}: {error}"
            ) from error
        self.count += 1
        kept = [not any(region.holds(box) for region in self.exclude) for box in found.boxes]
        return found.take(np.array(kept, bool))
