"""Faces found again in frames at which nobody looked, or in which the detector missed them.

What was detected in one frame is looked for in the frames after and before it, frame by frame, by
its picture: where the reduced grey of the face correlates best. That costs a hundredth of a look.
It only ever adds to what is covered.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from unseen.data.codec import Image
from unseen.faces.places import Box
from unseen.faces.track import Track

Grey: TypeAlias = npt.NDArray[np.uint8]
Corner: TypeAlias = npt.NDArray[np.int64]

# Frames are kept reduced to about so many pixels.
_PIXELS = 960 * 544
# The most of them that are kept, whatever the rate.
_MOST = 256
# The long side of a face's picture in pixels, and the least short side.
_SIDE, _LEAST = 16, 4
# With a smaller deviation, in levels of 255, there is nothing in it by which to find it again.
_FLAT = 2.0
# From one frame to the next a face moves by less than so many of its own sizes.
_REACH = 1.0
# The least correlation with which it is believed to be the same.
_ALIKE = 0.6


@dataclass
class _Lead:
    """A face as it was last detected, and where it is now.

    Attributes:
        picture: what was in the frame of it, reduced.
        scale: by which.
        box: where that is now, in pixels of the grey frames.
        rest: what has to be added to it for the whole face.
    """

    picture: Grey
    scale: float
    box: Box
    rest: Box

    def find(self, grey: Grey) -> bool:
        """Move to where the face is in the next frame; whether it is there."""
        sides = self.box[2:] - self.box[:2]
        low = np.floor(self.box[:2] - _REACH * sides).astype(int)
        window = _reduced(grey, low, np.ceil(self.box[2:] + _REACH * sides).astype(int), self.scale)
        if (np.array(window.shape) < self.picture.shape).any():
            return False
        alike = cv2.matchTemplate(window, self.picture, cv2.TM_CCOEFF_NORMED)
        _, best, _, at = cv2.minMaxLoc(alike)
        if not best >= _ALIKE:
            return False
        corner = low + np.array(at) / self.scale
        self.box = np.concatenate([corner, corner + sides])
        return True


def _reduced(grey: Grey, low: Corner, high: Corner, scale: float) -> Grey:
    """A window of a frame at a scale; beyond the frame its edge is repeated."""
    (x0, y0), (x1, y1) = low, high
    height, width = grey.shape
    inside = grey[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if not inside.size:
        return np.zeros((0, 0), np.uint8)
    edges = ((max(-y0, 0), max(y1 - height, 0)), (max(-x0, 0), max(x1 - width, 0)))
    whole = np.pad(inside, edges, "edge")
    size = [max(1, round(side * scale)) for side in whole.shape[::-1]]
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)


class Follower:
    """Looks for the tracks' faces in all frames, in both directions; frames come in order.

    Args:
        reach: for how many seconds a face is looked for before and after a detection.
    """

    def __init__(self, reach: float) -> None:
        self.reach = reach
        self._past: deque[tuple[int, float, Grey]] = deque(maxlen=_MOST)
        self._leads: dict[int, tuple[Track, _Lead]] = {}
        self._scale = 1.0

    def cut(self) -> None:
        """A new scene begins: what was there before is gone."""
        self._past.clear()
        self._leads.clear()

    def add(self, frame: int, time: float, image: Image) -> None:
        """The next frame: all faces that were there before are looked for."""
        height, width = image.shape[:2]
        self._scale = min(1.0, (_PIXELS / (height * width)) ** 0.5)
        if self._scale < 1:
            size = (max(1, round(width * self._scale)), max(1, round(height * self._scale)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        self._past.append((frame, time, grey))
        while time - self._past[0][1] > self.reach:
            self._past.popleft()
        for number, (track, lead) in list(self._leads.items()):
            if time - track.times[-1] > self.reach or not lead.find(grey):
                del self._leads[number]
            else:
                track.follow(frame, (lead.box + lead.rest) / self._scale)

    def detected(self, tracks: Iterable[Track]) -> None:
        """Look for the faces that were detected in the last frame in all frames since they were
        detected before; from now on they are looked for as they are in this one.
        """
        grey = self._past[-1][-1]
        for track in tracks:
            self._leads.pop(track.id, None)
            lead = self._lead(grey, track.boxes[-1])
            if lead is None:
                continue
            self._leads[track.id] = track, lead
            back = replace(lead)
            before = track.frames[-2] if len(track.frames) > 1 else -1
            for number, _, past in reversed(list(self._past)[:-1]):
                if number <= before or not back.find(past):
                    break
                track.follow(number, (back.box + back.rest) / self._scale)

    def _lead(self, grey: Grey, detected: Box) -> _Lead | None:
        """A detection as what to look for; None where too little of it can be seen."""
        whole = detected * self._scale
        low = np.floor(np.maximum(whole[:2], 0)).astype(int)
        high = np.ceil(np.minimum(whole[2:], grey.shape[::-1])).astype(int)
        if (high - low).min() < _LEAST:
            return None
        scale = min(1.0, _SIDE / float((high - low).max()))
        picture = _reduced(grey, low, high, scale)
        if min(picture.shape) < _LEAST or picture.std() < _FLAT:
            return None
        box = np.concatenate([low, high]).astype(np.float64)
        return _Lead(picture, scale, box, whole - box)
