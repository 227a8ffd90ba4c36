"""A game small enough for tests: `duet` at 16 pixels, a filter of width 8, models of few channels.

No player has dropout or BatchNorm, so that a move is a plain function of weights and batch.
"""

from torch import nn

from unseen.config import RunConfig, load_config
from unseen.data.clips import ClipDataset
from unseen.data.duet import load_duet
from unseen.models.base import MODELS, FrameAverage, ModelEntry, Request
from unseen.registry import Spec


def _one_layer(request: Request) -> FrameAverage:
    """Smooth and shallow: what rounding does to it stays small."""
    width = request.spec.integer()
    convolution, last = nn.Conv2d(3, width, 3, 2), nn.Linear(width * 9, request.classes)
    return FrameAverage(
        nn.Sequential(convolution, nn.Tanh(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), last)
    )


MODELS.add(
    "one-layer",
    ModelEntry("one-layer", _one_layer, lambda spec: Spec(spec.name, str(spec.integer(8)))),
)

_SMALL = (
    "data.size=16", "data.frames=4", "data.train=64", "data.val=26", "data.test=8",
    "filter.width=8", "filter.blocks=1", "filter.channels=1",
    "target_model=mobilenet-gn:0.02", "budget_models=mobilenet-gn:0.01,mobilenet-gn:0.03",
    "train.device=cpu", "train.threads=1", "train.batch=8", "train.budget_frames=2",
    "train.init_target=3", "train.init_budget=2", "train.steps=3", "train.finish=1",
    "train.log_every=1",
)  # fmt: skip


def tiny_config(*overrides: str) -> RunConfig:
    """The small configuration, changed by `key=value` overrides."""
    return load_config(overrides=[*_SMALL, *overrides])


def tiny_data(config: RunConfig) -> ClipDataset:
    """The clips of a configuration."""
    data = config.data
    return load_duet(
        target=data.target,
        private=data.private,
        size=data.size,
        frames=data.frames,
        seed=data.seed,
        counts={"train": data.train, "val": data.val, "test": data.test},
    )
