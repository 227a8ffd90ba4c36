"""The faces of one source covered, frame after frame. Black needs no PyTorch, whose import takes
seconds; what else is put there comes from `unseen.deploy.paint`.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from unseen.data.codec import Image
from unseen.errors import VideoError
from unseen.faces.find import Faces
from unseen.faces.region import Act, FaceRegions

# Takes the next frames, their times in seconds, and the number of the first; returns them
# anonymized.
Paint: TypeAlias = Callable[[Sequence[Image], Sequence[float], int], Sequence[Image]]


class FacesOnly:
    """Anonymizes the faces that were found, and leaves all else as it is.

    Args:
        found: the faces.
        source: what is anonymized, for messages.
        act: what is done to a face; None: it becomes black.
        least_side: see `FaceRegions`.
    """

    def __init__(
        self, found: Faces, source: object, act: Act | None = None, least_side: int = 1
    ) -> None:
        self.found, self.source = found, source
        settings = found.settings
        self._regions = FaceRegions(
            act, shape=settings.shape, feather=settings.feather, least_side=least_side
        )

    def __call__(
        self, images: Sequence[Image], times: Sequence[float], first: int
    ) -> Sequence[Image]:
        """The next frames, anonymized; `first` is the number of the first of them."""
        painted = []
        for frame, (image, time) in enumerate(zip(images, times, strict=True), first):
            where = f"frame {frame} of {self.source}"
            size = (self.found.height, self.found.width, 3)
            known = frame < len(self.found.times) and self.found.times[frame] == time
            if not known or image.shape != size:
                raise VideoError(
                    f"{where} was not there when faces were looked for: do not change a video "
                    "while it is anonymized"
                )
            painted.append(self._regions(image, self.found.boxes(frame), where, time))
        return painted
