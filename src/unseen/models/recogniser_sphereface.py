"""SphereFace (`unseen.models.sphereface`) as a recogniser that judges anonymizers of faces.

Trained here on faces of other people than those it measures, it is the network that Ren18 (5.1)
verifies with, and no player of the game; or it is the D of a run, which was.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import nn

from unseen.data.face_images import CENTRED, Face
from unseen.data.seen import read_seen
from unseen.errors import ConfigError
from unseen.faces.align import align
from unseen.models import sphereface
from unseen.models.recogniser import Recogniser, Vectors, refuse_few
from unseen.progress import progress
from unseen.registry import Spec
from unseen.types import to_clips, to_stored

_SIZE = (sphereface.FACE_HEIGHT, sphereface.FACE_WIDTH, 3)
_BATCH, _EPOCHS, _STEPS = 32, 12, (300, 4000)
_RATE, _DROP = 1e-3, 0.8
_MARGIN = 2
_LEAST_EASE = 1.0
_SHIFT = 4


class SphereFace(Recogniser):
    """A SphereFace network and the angular softmax, on faces aligned by five points.

    Where no landmarks are known, they are where LFW's are in the face box.

    Differs from the paper: 12 epochs, but 300 to 4,000 steps of 32, with m = 2; Ren18 starts from
    weights that were trained on CASIA-WebFace with m = 4.

    Args:
        name: a network of `unseen.models.sphereface`, as `sphereface-small:16`.
    """

    trainable = True

    def __init__(self, name: str) -> None:
        self.name = name
        with torch.device("meta"):
            sphereface.FaceClassifier(name, 2)  # an option that does not fit is told at once
        self._network: sphereface.FaceClassifier | None = None

    def features(self, faces: Sequence[Face]) -> Vectors:
        """Aligned faces, `uint8 (faces, 112 * 96 * 3)`."""
        return np.stack([_aligned(face).ravel() for face in faces])

    def fit(self, features: Vectors, identity: Int[np.ndarray, " faces"]) -> "SphereFace":
        """A new one that learned these people, from random weights, mirrored and moved faces.

        Raises:
            ConfigError: fewer than two people, or nobody with two images.
        """
        refuse_few(self.name, identity)
        labels = np.unique(identity, return_inverse=True)[1]
        fitted = SphereFace(self.name)
        fitted.device = self.device
        with torch.random.fork_rng():
            torch.manual_seed(1)
            network = sphereface.FaceClassifier(self.name, int(labels.max()) + 1).to(self.device)
        adam = torch.optim.Adam(network.parameters(), _RATE)
        steps = int(np.clip(_EPOCHS * len(features) // _BATCH, *_STEPS))
        fall = torch.optim.lr_scheduler.MultiStepLR(adam, [round(_DROP * steps)])
        rng = np.random.default_rng(1)
        left = np.zeros(0, np.int64)
        with progress(steps, self.name, "step") as bar:
            for step in range(steps):
                while len(left) < _BATCH:
                    left = np.concatenate([left, rng.permutation(len(features))])
                chosen, left = left[:_BATCH], left[_BATCH:]
                loss = sphereface.angular_softmax(
                    network(self._batch(features[chosen], rng)),
                    torch.from_numpy(labels[chosen]).to(self.device),
                    margin=_MARGIN,
                    ease=sphereface.eased(step, _LEAST_EASE),
                ).mean()
                adam.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                adam.step()
                fall.step()
                bar.update(1)
        fitted._network = network.eval()
        return fitted

    @torch.no_grad()
    def embed(self, features: Vectors) -> Float[np.ndarray, "faces embedding"]:
        """Features for verification by their cosine (Ren18 5.1).

        Raises:
            ConfigError: before training.
        """
        if self._network is None:
            raise ConfigError(f"'{self.name}' must be trained before it recognises anyone")
        network = self._network.to(self.device)  # a run's comes from its files, on the CPU
        parts = [features[start : start + _BATCH] for start in range(0, len(features), _BATCH)]
        return np.concatenate([network.embed(self._batch(part)).cpu().numpy() for part in parts])

    def _batch(
        self, features: Vectors, rng: np.random.Generator | None = None
    ) -> sphereface.AlignedFaces:
        """Faces as the network's input; with `rng` mirrored half of the time, and moved."""
        faces = features.reshape(-1, *_SIZE)
        if rng is not None:
            faces = np.stack([_moved(face, rng) for face in faces])
        return to_clips(faces[:, None], self.device)[:, :, 0]


class OfRun(SphereFace):
    """D of a run of `unseen train`, as it is at the end of its game (Ren18 5.6).

    It was in that game: what it says of faces behind that run's modifier measures no privacy.

    Args:
        folder: of the run.
    """

    trainable = False

    def __init__(self, folder: Path) -> None:
        self.name = f"sphereface:{folder.name}"
        self._network = sphereface.load_classifier(folder)
        self.folds = self._network.folds
        self._folder = folder

    def learned_people(self) -> frozenset[str] | None:
        """Those of the run, see `Recogniser.learned_people`."""
        return read_seen(self._folder, "people")

    def fit(self, features: Vectors, identity: Int[np.ndarray, " faces"]) -> "OfRun":
        """Itself: it learns nothing more."""
        return self


def by_name(spec: Spec) -> Recogniser:
    """`sphereface-20` or `sphereface-small:W`, to be trained; `sphereface:RUN`, trained."""
    if spec.name != "sphereface":
        return SphereFace(str(spec))
    if spec.option is None:
        raise ConfigError(
            "'sphereface' needs the folder of a run with a recogniser, as in 'sphereface:RUN'; "
            "'sphereface-small:16' is trained on --train-folds"
        )
    return OfRun(Path(spec.option))


def _aligned(face: Face) -> npt.NDArray[np.uint8]:
    points = face.landmarks
    if points is None:
        points = CENTRED.landmarks_in(face.box)
    picture = to_clips(np.array(face.image)[None, None])[:, :, 0]
    found = align(picture, torch.from_numpy(points[None].astype(np.float32)))[0]
    image: npt.NDArray[np.uint8] = to_stored(found[None, :, None])[0, 0]
    return image


def _moved(face: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """By up to four pixels, edges repeated; mirrored half of the time."""
    dy, dx = rng.integers(-_SHIFT, _SHIFT + 1, 2)
    height, width = face.shape[:2]
    rows = np.clip(np.arange(height) + dy, 0, height - 1)
    columns = np.clip(np.arange(width) + dx, 0, width - 1)
    moved: npt.NDArray[np.uint8] = face[rows][:, columns[::-1] if rng.random() < 0.5 else columns]
    return moved
