"""Scene cuts: frames that have little to do with the one before."""

from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from unseen.data.codec import Image


class Change(Enum):
    """How a frame differs from the one before."""

    SMALL = 0
    SUDDEN = 1  # perhaps a new scene: worth a look at both frames
    CUT = 2  # a new scene: what was there before is gone


class ChangeFinder:
    """Tells of each frame how it differs from the one before.

    A change is sudden when it is large and a multiple of the usual one. It is a cut when it is also
    one of the distribution of colours: a camera that moves, however fast, changes that little.
    Measured on a real clip with five cuts: 48 to 83 levels at the cuts, 20 at most elsewhere; the
    same with all pixels averaged.
    """

    _SIZE = (64, 36)
    # Each of these is the mean of so many pixels each way, or a few more. To average all pixels of
    # high definition would take longer than everything else between two looks.
    _PIXELS = 4
    # Mean change in levels of 255; part of all pixels that have another colour; times the usual.
    _SUDDEN, _CUT, _OTHER, _UNUSUAL = 12.0, 25.0, 0.12, 2.0
    _FORGET = 0.2

    def __init__(self) -> None:
        self._last: tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]] | None = None
        self._usual = 0.0

    def __call__(self, image: Image) -> Change:
        """How `image`, the next frame, differs; the first differs little."""
        (wide, high), (height, width) = self._SIZE, image.shape[:2]
        step = max(1, min(width // wide, height // high) // self._PIXELS)
        few = np.ascontiguousarray(image[::step, ::step])
        small = cv2.resize(few, self._SIZE, interpolation=cv2.INTER_AREA).astype(np.int16)
        counts = np.stack([np.bincount(small[..., c].ravel() >> 3, minlength=32) for c in range(3)])
        last, self._last = self._last, (small, counts / counts.sum(1, keepdims=True))
        if last is None:
            return Change.SMALL
        change = float(np.abs(small - last[0]).mean())
        other = 1 - float(np.minimum(self._last[1], last[1]).sum(1).mean())
        unusual = change >= self._UNUSUAL * self._usual
        # A cut must not count as usual; what goes on must, sooner or later.
        self._usual += self._FORGET * (min(change, 2 * self._usual + 5) - self._usual)
        if not unusual or change < self._SUDDEN:
            return Change.SMALL
        return Change.CUT if change >= self._CUT and other >= self._OTHER else Change.SUDDEN
