"""Boxes where a data set has none: faces and people, found in its frames at their own size.

What handcrafted anonymizers need on real video: Wu18 4.1 detects and crops out faces (method 4) and
bodies (method 5), and so does Wang19 4.1. A new kind of box is one line of `FINDERS`.
"""

import hashlib
from collections.abc import Callable, Collection

from unseen.anonymizers.base import BoxKind
from unseen.data.clips import BoxSource
from unseen.data.decode import BoxFinder
from unseen.errors import ConfigError
from unseen.models.person_detector import LEAST_SCORE, PersonDetector, person_weights
from unseen.models.weights import SUFFIX
from unseen.registry import Registry


def _faces(person_detector: str | None) -> BoxFinder:
    """CenterFace, in each frame by itself."""
    # Loads another runtime, which few need.
    from unseen.faces.detect import LEAST_FACE_SCORE, SHA256, CenterFace

    detector = CenterFace(LEAST_FACE_SCORE)
    source = BoxSource("face", "centerface", LEAST_FACE_SCORE, SHA256)
    return BoxFinder(source, lambda image: detector(image).boxes)


def _bodies(person_detector: str | None) -> BoxFinder:
    """One of torchvision's detectors, trained on COCO, from weights at hand."""
    if person_detector is None:
        raise ConfigError(
            "these data have no boxes of bodies, and no person detector is named to find them: "
            f"set data.person_detector=torchvision:NAME@FILE{SUFFIX} (docs/data-sets.md#boxes)"
        )
    return BoxFinder(body_source(person_detector), PersonDetector(person_detector))


def body_source(person_detector: str) -> BoxSource:
    """What would find bodies; builds no network.

    Raises:
        UnseenError: there is no such detector, or its weights are missing.
    """
    name, weights = person_weights(person_detector)
    with weights.open("rb") as file:
        sha = hashlib.file_digest(file, "sha256").hexdigest()
    return BoxSource("body", f"torchvision:{name}", LEAST_SCORE, sha)


FINDERS: Registry[Callable[[str | None], BoxFinder]] = Registry("kind of box")
FINDERS.add("face", _faces)
FINDERS.add("body", _bodies)


def finders(kinds: Collection[BoxKind], person_detector: str | None) -> tuple[BoxFinder, ...]:
    """What finds the boxes that an anonymizer needs.

    Args:
        kinds: of boxes.
        person_detector: `torchvision:NAME@FILE.safetensors`, or None: bodies cannot be found.

    Raises:
        UnseenError: bodies are wanted and the detector cannot be had.
    """
    return tuple(FINDERS[kind](person_detector) for kind in sorted(kinds))
