"""Moving faces for tests: scikit-image's astronaut (NASA, public domain), composed into clips."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float
from skimage.data import astronaut

from unseen.data.codec import Image
from unseen.faces.detect import NONE, CenterFace, Detections
from video_files import Images

# Her head in that picture, and her face in that: forehead to chin, ear to ear.
ASTRONAUT: Image = astronaut()
_HEAD = (slice(20, 230), slice(130, 310))
_FACE = np.array([50, 52, 132, 162], np.float64)
HEIGHT, WIDTH = 160, 256


def head(scale: float) -> Image:
    return cv2.resize(ASTRONAUT[_HEAD], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def background(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Image:
    """Soft colours in which nothing looks like a face."""
    small = np.random.default_rng(seed).integers(60, 200, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def place(image: Image, x: float, y: float, scale: float = 0.4) -> np.ndarray:
    """Paste her head with its corner at (x, y), perhaps partly outside; where the face is then."""
    picture = head(scale)
    left, top = round(x), round(y)
    rows = slice(max(top, 0), min(top + len(picture), len(image)))
    columns = slice(max(left, 0), min(left + picture.shape[1], image.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        image[rows, columns] = picture[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
    where: np.ndarray = _FACE * scale + np.array([left, top, left, top])
    return where


def moving(
    places: Sequence[tuple[float, float] | None], scale: float = 0.4, seed: int = 0
) -> tuple[Images, list[np.ndarray]]:
    """A clip with her head at these places (None: not there, and her face NaN), and her face."""
    images, faces = [], []
    for at in places:
        image = background(seed)
        faces.append(np.full(4, np.nan) if at is None else place(image, *at, scale))
        images.append(image)
    return np.stack(images), faces


class Blinded:
    """A detector that sees nothing in the frames of a video whose numbers are given."""

    def __init__(self, detector: CenterFace, images: Images, blind: set[int]) -> None:
        self.detector, self.blind = detector, blind
        self._frames = {image.tobytes(): frame for frame, image in enumerate(images)}
        self.glances = 0

    def _is_blind(self, image: Image) -> bool:
        return self._frames[image.tobytes()] in self.blind

    def __call__(self, image: Image) -> Detections:
        return NONE if self._is_blind(image) else self.detector(image)

    def glance(self, image: Image) -> Detections:
        self.glances += 1
        return NONE if self._is_blind(image) else self.detector.glance(image)

    def within(self, image: Image, box: Float[np.ndarray, " 4"]) -> Detections:
        return NONE if self._is_blind(image) else self.detector.within(image, box)


def blind_runs(frames: int, part: float, longest: int, seed: int) -> set[int]:
    """Random frames, so many of all, in runs of up to `longest`."""
    rng = np.random.default_rng(seed)
    blind: set[int] = set()
    while len(blind) < part * frames:
        start = int(rng.integers(0, frames))
        run = set(range(start, min(frames, start + int(rng.integers(1, longest + 1)))))
        together = sorted(blind | run)
        lengths = np.diff(np.nonzero(np.diff([-9, *together, 10**9]) > 1)[0])
        if lengths.max() <= longest:
            blind |= run
    return blind
