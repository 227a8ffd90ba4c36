"""Networks from torchvision and timm: the papers' ten attackers, and any timm model by name."""

from collections.abc import Callable

import timm
import torchvision
from torch import nn

from unseen.errors import ConfigError, UnknownNameError, WeightsError
from unseen.models.base import MODELS, ClipClassifier, FrameAverage, ModelEntry, Request
from unseen.registry import Spec, nearest

# Inception-v3 reduces without padding: smaller frames would vanish. The papers' attackers see
# frames of 128 pixels.
_INCEPTION_SMALLEST = 75
_INCEPTION_SIZE = 128


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


def _canonical_timm(spec: Spec) -> Spec:
    name, at, weights = (spec.option or "").partition("@")
    if not name or at + weights not in ("", "@pretrained"):
        raise ConfigError(
            f"'{spec}': write 'timm:NAME' or 'timm:NAME@pretrained', as in 'timm:resnet18'"
        )
    # A name may go on with a tag that picks one of several published weights.
    choices = timm.list_pretrained() if "." in name else timm.list_models()
    if name not in choices:
        raise UnknownNameError(
            f"unknown timm model '{name}'{nearest(name, choices)}; "
            "timm.list_models() lists the choices"
        )
    return spec


def _build_timm(request: Request) -> ClipClassifier:
    """A timm model by name: `NAME` with random weights, `NAME@pretrained` with timm's own.

    Frames are normalised as the pretrained weights expect, and resized where the architecture
    accepts one size only.
    """
    name, _, weights = (request.spec.option or "").partition("@")
    described = timm.get_pretrained_cfg(name)
    assert described is not None  # of the names that timm lists, each has one
    if weights and not described.has_weights:
        raise WeightsError(f"timm has no pretrained weights for '{name}'; use 'timm:{name}'")
    try:
        net = timm.create_model(name, pretrained=bool(weights), num_classes=request.classes)
    except Exception as error:  # the clients of the two hubs raise errors of many unrelated kinds
        if not weights:
            raise
        raise WeightsError(
            f"the pretrained weights of timm's '{name}' cannot be had: they are downloaded once, "
            "which needs a network, or come from a local cache (HF_HOME); "
            f"'timm:{name}' starts from random weights instead"
        ) from error
    resize = described.input_size[-1] if described.fixed_input_size else None
    return FrameAverage(net, mean=described.mean, std=described.std, resize=resize)


MODELS.add("inception-v1", ModelEntry("inception", _inception_v1))
MODELS.add("inception-v2", ModelEntry("inception", _inception_v2))
MODELS.add("resnet-v1-50", ModelEntry("resnet-v1", _resnet_v1(torchvision.models.resnet50)))
MODELS.add("resnet-v1-101", ModelEntry("resnet-v1", _resnet_v1(torchvision.models.resnet101)))
MODELS.add("resnet-v2-50", ModelEntry("resnet-v2", _resnet_v2("resnetv2_50")))
MODELS.add("resnet-v2-101", ModelEntry("resnet-v2", _resnet_v2("resnetv2_101")))
MODELS.add("timm", ModelEntry("timm", _build_timm, _canonical_timm))
