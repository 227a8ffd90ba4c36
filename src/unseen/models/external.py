"""Networks from torchvision and timm: the papers' ten attackers, and any other by name."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import timm
import torch
import torchvision
from torch import nn

from unseen.errors import ConfigError, UnknownNameError, WeightsError
from unseen.models.base import (
    MODELS,
    ClipClassifier,
    FrameAverage,
    ModelEntry,
    Request,
    Sees,
    create_model,
    without_weights,
)
from unseen.models.person_detector import person_networks
from unseen.models.weights import SUFFIX, load_body, weights_file
from unseen.registry import Spec, nearest
from unseen.types import Clips, Logits

# Inception-v3 reduces without padding: smaller frames would vanish. The papers' attackers see
# frames of 128 pixels.
_INCEPTION_SMALLEST = 75
_INCEPTION_SIZE = 128
# Of torchvision: these return more than logits while they train; timm has their like.
_AUXILIARY = ("googlenet", "inception_v3")
# Of its video networks, those that take clips of any length and size.
_VIDEO = ("r3d_18", "mc3_18", "r2plus1d_18", "swin3d_t", "swin3d_s", "swin3d_b")


def _inception_v1(request: Request) -> ClipClassifier:
    """GoogLeNet (Szegedy et al. 2015).

    Differs from the paper: torchvision's, with batch normalisation, 3x3 instead of 5x5 branches,
    and without the auxiliary classifiers.
    """
    return FrameAverage(
        torchvision.models.googlenet(
            weights=None, num_classes=request.classes, aux_logits=False, init_weights=True
        )
    )


def _inception_v2(request: Request) -> ClipClassifier:
    """Inception-v3 (Szegedy et al. 2016), the kept network nearest to Inception-v2.

    Differs from the paper: Inception-v2 (Ioffe and Szegedy 2015) is in no kept package. Frames
    under 75 pixels, which this network cannot take, are resized to 128.
    """
    net = timm.create_model("inception_v3", pretrained=False, num_classes=request.classes)
    resize = _INCEPTION_SIZE if request.size < _INCEPTION_SMALLEST else None
    return FrameAverage(net, resize=resize)


def _resnet_v1(constructor: Callable[..., nn.Module]) -> Callable[[Request], ClipClassifier]:
    """ResNet-v1 (He et al. 2016a). Differs from the paper: the stride is in the 3x3 convolution."""
    return lambda request: FrameAverage(constructor(weights=None, num_classes=request.classes))


def _resnet_v2(name: str) -> Callable[[Request], ClipClassifier]:
    """ResNet-v2, pre-activation (He et al. 2016b), timm's."""
    return lambda request: FrameAverage(
        timm.create_model(name, pretrained=False, num_classes=request.classes)
    )


def _split(spec: Spec) -> tuple[str, str]:
    """Network and weights: `pretrained`, a file, or nothing."""
    name, at, weights = (spec.option or "").partition("@")
    form = f"{spec.name}:NAME"
    if not name or (at and weights != "pretrained" and not Path(weights).suffix):
        raise ConfigError(
            f"'{spec}': write '{form}' or '{form}@pretrained' or '{form}@FILE{SUFFIX}', as in "
            f"'{spec.name}:resnet18'"
        )
    if at and weights != "pretrained":
        weights_file(weights)
    return name, weights


@cache
def _timm_names(tagged: bool) -> tuple[str, ...]:
    """A name may go on with a tag that picks one of several published weights."""
    return tuple(timm.list_pretrained() if tagged else timm.list_models())


def _canonical_timm(spec: Spec) -> Spec:
    name, _ = _split(spec)
    choices = _timm_names("." in name)
    if name not in choices:
        raise UnknownNameError(
            f"unknown timm model '{name}'{nearest(name, choices)}; "
            "timm.list_models() lists the choices"
        )
    return spec


def _build_timm(request: Request) -> ClipClassifier:
    """A timm model by name: with random weights, timm's own (`@pretrained`) or those of a file.

    Frames are normalised as the pretrained weights expect, and resized to the size that the network
    was made for where it accepts no other or cannot take these.
    """
    name, weights = _split(request.spec)
    described = timm.get_pretrained_cfg(name)
    assert described is not None  # of the names that timm lists, each has one
    published = weights == "pretrained"
    if published and not described.has_weights:
        raise WeightsError(f"timm has no pretrained weights for '{name}'; use 'timm:{name}'")
    try:
        net = timm.create_model(name, pretrained=published, num_classes=request.classes)
    except Exception as error:  # the clients of the two hubs raise errors of many unrelated kinds
        if not published:
            raise
        raise WeightsError(
            f"the pretrained weights of timm's '{name}' cannot be had: they are downloaded once, "
            "which needs a network, or come from a local cache (HF_HOME); "
            f"'timm:{name}' starts from random weights instead, 'timm:{name}@FILE{SUFFIX}' from "
            "those of a file"
        ) from error
    if weights and not published:
        load_body(net, weights_file(weights))
    fixed = described.fixed_input_size or not _takes("timm", name, request.size)
    resize = described.input_size[-1] if fixed else None
    return FrameAverage(net, mean=described.mean, std=described.std, resize=resize)


def _torchvision_names() -> list[str]:
    """Its classifiers, of images and of video."""
    images = torchvision.models.list_models(torchvision.models)
    return [*(name for name in images if name not in _AUXILIARY), *_VIDEO]


def _refuse_unknown(name: str, choices: Sequence[str]) -> None:
    if name not in choices:
        raise UnknownNameError(
            f"unknown torchvision model '{name}'{nearest(name, choices)}; "
            f"choose from: {', '.join(choices)}"
        )


def _canonical_torchvision(spec: Spec) -> Spec:
    name, weights = _split(spec)
    choices = _torchvision_names()
    if name in person_networks():
        raise UnknownNameError(
            f"'{name}' is a detector of torchvision's, for data.person_detector, not a classifier; "
            f"choose from: {', '.join(choices)}"
        )
    _refuse_unknown(name, choices)
    if weights == "pretrained":
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        raise WeightsError(
            f"'{spec}': torchvision publishes pickles, which are not read here; fetch {url}, make "
            f"a {SUFFIX} file of it with `unseen convert-weights`, and write "
            f"'torchvision:{name}@FILE{SUFFIX}'"
        )
    return spec


def _build_torchvision(request: Request) -> ClipClassifier:
    """A torchvision model by name, for images or for video, with random weights or a file's.

    Input is normalised as torchvision's own weights expect. Frames that the network cannot take are
    resized to the size that it was made for.
    """
    name, weights = _split(request.spec)
    net = torchvision.models.get_model(name, weights=None, num_classes=request.classes)
    if weights:
        load_body(net, weights_file(weights))
    described = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    if name in _VIDEO:
        return VideoNetwork(net, mean=described.mean, std=described.std)
    resize = None if _takes("torchvision", name, request.size) else described.crop_size[0]
    return FrameAverage(net, mean=described.mean, std=described.std, resize=resize)


@cache
def _takes(package: str, name: str, size: int) -> bool:
    """Whether an image model accepts such frames: tried on a device that computes nothing."""
    with torch.device("meta"), torch.no_grad():
        if package == "timm":
            net = timm.create_model(name, pretrained=False).eval()
        else:
            net = torchvision.models.get_model(name, weights=None).eval()
        try:
            net(torch.empty(1, 3, size, size))
        except (RuntimeError, AssertionError):
            return False
    return True


def is_detector(spec: str) -> bool:
    """Whether a specification names a detector of torchvision's, without weights."""
    parsed = Spec.parse(spec)
    return parsed.name == "torchvision" and parsed.option in person_networks()


def published_network(spec: str) -> nn.Module:
    """The network that weights are published for, with all of its classes.

    Of a `timm:NAME` or `torchvision:NAME` the bare one, which may be a detector of torchvision's;
    any other model as it is here, for clips of its published size.

    Raises:
        UnseenError: it is neither, or there is no such network.
    """
    parsed = Spec.parse(spec)
    if "@" in spec:
        raise ConfigError(f"model '{spec}': write '{without_weights(spec)}'")
    if parsed.name not in ("timm", "torchvision"):
        with torch.device("meta"):
            return create_model(spec, 1000, size=112, frames=16)
    if parsed.name == "torchvision" and parsed.option is not None:
        _refuse_unknown(parsed.option, [*_torchvision_names(), *person_networks()])
    with torch.device("meta"):
        if is_detector(spec):
            detector: nn.Module = torchvision.models.get_model(
                str(parsed.option), weights=None, weights_backbone=None
            )
            return detector
        model = create_model(spec, 1000, size=224, frames=16)
    assert isinstance(model, FrameAverage | VideoNetwork)
    return model.net


class VideoNetwork(ClipClassifier):
    """A video network behind the interface of this project.

    Args:
        net: maps clips `(batch, 3, time, height, width)` to logits `(batch, classes)`.
        mean: per channel, subtracted from the clip before `net`.
        std: per channel, divides it then.
    """

    sees: Sees = "clip"

    def __init__(self, net: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1, 1), persistent=False)

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip."""
        logits: torch.Tensor = self.net((clips - self.mean) / self.std)
        return logits


MODELS.add("inception-v1", ModelEntry("inception", _inception_v1))
MODELS.add("inception-v2", ModelEntry("inception", _inception_v2))
MODELS.add("resnet-v1-50", ModelEntry("resnet-v1", _resnet_v1(torchvision.models.resnet50)))
MODELS.add("resnet-v1-101", ModelEntry("resnet-v1", _resnet_v1(torchvision.models.resnet101)))
MODELS.add("resnet-v2-50", ModelEntry("resnet-v2", _resnet_v2("resnetv2_50")))
MODELS.add("resnet-v2-101", ModelEntry("resnet-v2", _resnet_v2("resnetv2_101")))
MODELS.add("timm", ModelEntry("timm", _build_timm, _canonical_timm, reads_weights=True))
MODELS.add(
    "torchvision",
    ModelEntry("torchvision", _build_torchvision, _canonical_torchvision, reads_weights=True),
)
