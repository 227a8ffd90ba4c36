"""SphereFace: the face classifier D of Ren18, its angular softmax, and a small one for CPUs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.errors import ConfigError
from unseen.registry import Registry, Spec
from unseen.stored_weights import StoredNetwork

FACE_HEIGHT, FACE_WIDTH = 112, 96
RECOGNISER_FILE = "recogniser.json"
_STORED = StoredNetwork("recogniser", "recogniser.safetensors", RECOGNISER_FILE)

AlignedFaces = Float[Tensor, "faces 3 112 96"]
Features = Float[Tensor, "faces features"]
Cosines = Float[Tensor, "faces identities"]
PerFace = Float[Tensor, " faces"]
Identities = Int[Tensor, " faces"]


class _Convolution(nn.Sequential):
    """Convolution 3x3, group normalisation where asked for, PReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, normalised: bool) -> None:
        layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, stride, 1)]
        if normalised:
            layers.append(nn.GroupNorm(4, outputs))
        super().__init__(*layers, nn.PReLU(outputs))


class _Unit(nn.Module):
    def __init__(self, channels: int, normalised: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _Convolution(channels, channels, 1, normalised),
            _Convolution(channels, channels, 1, normalised),
        )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.residual(x)
        return total


class SphereFaceNet(nn.Module):
    """Aligned faces to features, `(faces, 3, 112, 96)` in [0, 1] to `(faces, features)`.

    Four stages, each a 3x3 convolution of stride 2 and residual units of two 3x3 convolutions, then
    one fully connected layer (Liu et al. 2017, table 2; Ren18 section 4 names SphereFace-20, which
    is `widths` 64, 128, 256, 512 with 1, 2, 4, 1 units: 20 layers with the fully connected one not
    counted).

    Args:
        widths: channels of the stages.
        units: residual units of the stages.
        features: length of the feature vector.
        normalised: group normalisation behind each convolution, which the published network has
            not and which lets a small one learn in minutes.
    """

    def __init__(
        self, widths: tuple[int, ...], units: tuple[int, ...], features: int, *, normalised: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, count in zip(widths, units, strict=True):
            layers.append(_Convolution(channels, width, 2, normalised))
            layers += [_Unit(width, normalised) for _ in range(count)]
            channels = width
        self.stages = nn.Sequential(*layers)
        shrink = 2 ** len(widths)
        area = math.ceil(FACE_HEIGHT / shrink) * math.ceil(FACE_WIDTH / shrink)
        self.features = nn.Linear(channels * area, features)

    def forward(self, faces: AlignedFaces) -> Features:
        """Features of each face; their direction says who it is."""
        found: Tensor = self.features(self.stages(2.0 * faces - 1.0).flatten(1))
        return found


def _lengths(features: Features) -> Float[Tensor, "faces 1"]:
    lengths: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return lengths


@dataclass(frozen=True)
class Seen:
    """What a recogniser sees in faces.

    Attributes:
        features: `(faces, features)`.
        cosines: `(faces, identities)`, between the features and the direction of each identity.
    """

    features: Features
    cosines: Cosines

    @property
    def logits(self) -> Cosines:
        """||x|| cos(theta), the modified softmax' logits (Liu et al. 2017, eq. 4)."""
        return _lengths(self.features) * self.cosines


class FaceClassifier(nn.Module):
    """D of Ren18: features, and one direction for each identity that it is trained on.

    Args:
        name: `sphereface-20`, or `sphereface-small:W` with W channels in the first stage.
        identities: how many people it tells apart.
        folds: of the list of people that it learns, if there is one.
    """

    def __init__(self, name: str, identities: int, folds: tuple[int, ...] = ()) -> None:
        super().__init__()
        spec = Spec.parse(name)
        self.folds = folds
        self.name, self.identities = name, identities
        self.net = NETWORKS[spec.name](spec)
        features = self.net.features.out_features
        self.directions = nn.Parameter(torch.randn(identities, features) / math.sqrt(features))

    def embed(self, faces: AlignedFaces) -> Features:
        """Features for verification by their cosine (Ren18 5.1)."""
        found: Tensor = self.net(faces)
        return found

    def forward(self, faces: AlignedFaces) -> Seen:
        """Features and their cosines with all identities."""
        features = self.net(faces)
        return Seen(features, F.normalize(features) @ F.normalize(self.directions).T)


def _sphereface_20(spec: Spec) -> SphereFaceNet:
    spec.no_option()
    return SphereFaceNet((64, 128, 256, 512), (1, 2, 4, 1), 512, normalised=False)


def _small(spec: Spec) -> SphereFaceNet:
    width = spec.integer(16, least=4, most=512)
    if width % 4:
        raise ConfigError(f"'{spec}': the width must be a multiple of 4")
    return SphereFaceNet(
        (width, 2 * width, 4 * width, 8 * width), (1, 1, 1, 1), 8 * width, normalised=True
    )


NETWORKS: Registry[Callable[[Spec], SphereFaceNet]] = Registry("recogniser")
NETWORKS.add("sphereface-20", _sphereface_20)
NETWORKS.add("sphereface-small", _small)


def _psi(cosines: Tensor, margin: int) -> Tensor:
    """(-1)^k cos(m theta) - 2k for theta in [k pi/m, (k+1) pi/m] (Liu et al. 2017, eq. 7)."""
    k = torch.floor(margin * torch.acos(cosines.detach().clamp(-1.0, 1.0)) / math.pi)
    k = k.clamp(max=margin - 1)
    # cos(m theta) as a Chebyshev polynomial: the derivative of acos has no end at 1.
    before, power = torch.ones_like(cosines), cosines
    for _ in range(margin - 1):
        before, power = power, 2.0 * cosines * power - before
    return (1.0 - 2.0 * (k % 2)) * power - 2.0 * k


def eased(step: int, least: float) -> float:
    """The weight of cos(theta) while D learns, as SphereFace's authors let it fall to a least."""
    return max(least, 1000.0 / (1.0 + 0.12 * step))


def angular_softmax(
    seen: Seen, labels: Identities, *, margin: int = 4, ease: float = 0.0
) -> PerFace:
    """L_D, the angular softmax loss of each face (Liu et al. 2017, eq. 7; Ren18 3.1).

    Cross-entropy with logits ||x|| cos(theta_j), and ||x|| psi(theta) for the face's own identity.

    Args:
        seen: what the recogniser sees.
        labels: the identities.
        margin: m, the factor by which the own angle is multiplied; 1 is the modified softmax.
        ease: the weight of cos(theta) beside psi(theta), (ease cos + psi) / (1 + ease), which the
            authors of SphereFace lower from 1000 to 5 while training.
    """
    own = seen.cosines.gather(1, labels[:, None])
    harder = (ease * own + _psi(own, margin)) / (1.0 + ease)
    logits = seen.cosines.scatter(1, labels[:, None], harder)
    return F.cross_entropy(_lengths(seen.features) * logits, labels, reduction="none")


def save_classifier(recogniser: FaceClassifier, folder: Path) -> None:
    """Write weights (safetensors) and what they are (JSON) into `folder`."""
    about = {
        "name": recogniser.name,
        "identities": recogniser.identities,
        "folds": list(recogniser.folds),
        "input": "RGB faces aligned by five points, float32 (faces, 3, 112, 96), values in [0, 1]",
        "output": "features, compared by their cosine",
    }
    _STORED.save(recogniser, folder, about)


def load_classifier(folder: Path) -> FaceClassifier:
    """The recogniser that a run of `unseen train` left in `folder`.

    Raises:
        WeightsError: there is none, or it is damaged.
    """

    def build(about: dict[str, Any]) -> FaceClassifier:
        folds = tuple(int(fold) for fold in about["folds"])
        return FaceClassifier(str(about["name"]), int(about["identities"]), folds)

    return _STORED.load(folder, build)
