"""The one interface of all classifiers: target models, budget models and attackers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from unseen.errors import ConfigError
from unseen.models.weights import SUFFIX, load_body, weights_file
from unseen.registry import Registry, Spec
from unseen.types import Clips, Logits, to_frames

Sees = Literal["frames", "clip", "differences"]

SMALLEST_FRAME = 16


class ClipClassifier(nn.Module, ABC):
    """Maps clips `(batch, 3, time, height, width)` in [0, 1] to logits `(batch, classes)`.

    A clip may have any length, if `sees` is `differences` of at least two frames.

    Attributes:
        spec: the canonical specification it was made from (`mobilenet:0.5`).
        family: the kind of network, whatever its width or depth (`mobilenet-v1`).
        sees: `frames`: every frame by itself, logits averaged, so that training may pass any subset
            of a clip's frames in any order; `clip`: the whole clip; `differences`: differences of
            neighbouring frames. The last two need all frames in order.
    """

    spec: str
    family: str
    sees: Sees

    @abstractmethod
    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip; values of `clips` in [0, 1]."""


def mean_over_time(logits: Float[torch.Tensor, "frames classes"], clips: int) -> Logits:
    """Logits of the frames of so many clips, in the order of `to_frames`, averaged by clip."""
    return logits.reshape(clips, -1, logits.shape[1]).mean(1)


class FrameAverage(ClipClassifier):
    """An image classifier as a clip classifier: logits averaged over frames (Wang19 3.2).

    Args:
        net: maps frames `(batch, 3, height, width)` to logits `(batch, classes)`.
        mean: per channel, subtracted from the frame before `net`.
        std: per channel, divides it then; the defaults map [0, 1] to [-1, 1].
        resize: side in pixels of the square that frames are resized to before `net` (bilinear);
            None leaves them as they are.
    """

    sees: Sees = "frames"

    def __init__(
        self,
        net: nn.Module,
        *,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
        resize: int | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.resize = resize
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip: the mean of its frames' logits."""
        frames = (to_frames(clips) - self.mean) / self.std
        if self.resize is not None:
            frames = F.interpolate(frames, (self.resize, self.resize), mode="bilinear")
        logits: torch.Tensor = self.net(frames)
        return mean_over_time(logits, clips.shape[0])


@dataclass(frozen=True)
class Request:
    """What a builder is asked for.

    Attributes:
        spec: the canonical specification.
        classes: number of logits.
        size: side of the square frames, in pixels.
        frames: frames of a clip.
    """

    spec: Spec
    classes: int
    size: int
    frames: int


def without_option(spec: Spec) -> Spec:
    """The canonical form of a model that has no option."""
    spec.no_option()
    return spec


@dataclass(frozen=True)
class ModelEntry:
    """A registered model.

    Attributes:
        family: see `ClipClassifier`.
        build: makes it, with random weights unless the specification asks for others.
        canonical: the one form of all specifications that mean the same; raises on a bad option.
        reads_weights: its option may name weights, which `build` then reads.
    """

    family: str
    build: Callable[[Request], ClipClassifier]
    canonical: Callable[[Spec], Spec] = without_option
    reads_weights: bool = False


MODELS: Registry[ModelEntry] = Registry("model")


def without_weights(spec: str) -> str:
    """The specification without the weights that it starts from: what is before its `@`."""
    return spec.strip().partition("@")[0]


def canonical(spec: str) -> str:
    """The one form of all specifications that mean the same model.

    `mobilenet:0.50` and `mobilenet:0.5` both give `mobilenet:0.5`, `c3d-small` gives
    `c3d-small:16`, `c3d-small@FILE` gives `c3d-small:16@FILE`.

    Raises:
        UnknownNameError: for a name that is not registered.
        ConfigError: for an option that cannot be used, or weights that are no safetensors file.
        WeightsError: for a file of weights that is not there.
    """
    bare, at, weights = spec.strip().partition("@")
    parsed = Spec.parse(bare)
    entry = MODELS[parsed.name]
    if entry.reads_weights:
        return str(entry.canonical(Spec.parse(spec)))
    found = str(entry.canonical(parsed))
    if at and Path(weights).suffix == "":
        raise ConfigError(f"'{spec}': write '{bare}' or '{bare}@FILE{SUFFIX}'")
    return f"{found}@{weights_file(weights)}" if at else found


Net = TypeVar("Net", bound=nn.Module)


def channels_last(module: Net) -> Net:
    """Store convolution weights channels last: the same numbers, up to half faster on a CPU."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in module.parameters():
        if parameter.ndim in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.ndim])
    return module


def create_model(spec: str, classes: int, *, size: int, frames: int) -> ClipClassifier:
    """Make a registered model.

    Args:
        spec: `name` or `name:option`, as in `mobilenet:0.5`; `@FILE.safetensors` behind it are the
            weights that all but the last layer start from.
        classes: number of logits: classes, or attributes of a multi-label task.
        size: side of the square frames, in pixels, at least 16.
        frames: frames of a clip.

    Raises:
        UnknownNameError: for a name that is not registered.
        ConfigError: for an option, a size or a number of frames that cannot be used.
        WeightsError: when weights are asked for and cannot be had, or do not fit.
    """
    if classes < 1 or size < SMALLEST_FRAME or frames < 1:
        raise ConfigError(
            f"model '{spec}': needs at least one class, one frame and frames of "
            f"{SMALLEST_FRAME} pixels, got {classes} classes, {frames} frames of {size} pixels"
        )
    name = canonical(spec)
    parsed = Spec.parse(without_weights(name))
    entry = MODELS[parsed.name]
    given = Spec.parse(name) if entry.reads_weights else parsed
    model = entry.build(Request(given, classes, size, frames))
    if "@" in name and not entry.reads_weights:
        load_body(model, weights_file(name.partition("@")[2]))
    model.spec = name
    model.family = entry.family
    return channels_last(model)


def parameter_count(module: nn.Module) -> int:
    """Number of parameters, trainable or not; running statistics do not count."""
    return sum(parameter.numel() for parameter in module.parameters())


def macs(module: nn.Module, example_clip: torch.Tensor) -> int:
    """Multiply-accumulates of one forward pass in evaluation mode.

    Counts convolutions, matrix products, attention and recurrent layers; normalisation,
    activations and pooling are left out, as is usual.

    Args:
        module: any network, an anonymizer too.
        example_clip: its input; the count is for this whole batch.
    """
    was_training = module.training
    module.eval()
    # What counts follows gradients through modules, and fails in some where they are switched off.
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        with (
            torch.no_grad(),
            # Attention as matrix products: PyTorch 2.14 does not count the kernel for processors.
            sdpa_kernel(SDPBackend.MATH),
            FlopCounterMode(display=False) as counter,
        ):
            module(example_clip)
    finally:
        module.train(was_training)
        for parameter in learned:
            parameter.requires_grad_(True)
    return int(counter.get_total_flops()) // 2


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with up to eight groups of at least four channels.

    Four, because a group of one channel at 1x1 resolution would be normalised to nothing.
    """
    groups = max(n for n in range(1, 9) if channels % n == 0 and (n == 1 or channels // n >= 4))
    return nn.GroupNorm(groups, channels)
