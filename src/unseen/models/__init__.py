"""Target models, budget models and attackers: clips to logits, all behind one interface."""

# Importing a family's module registers it.
from unseen.models import c3d as c3d
from unseen.models import external as external
from unseen.models import image_attackers as image_attackers
from unseen.models import mobilenet as mobilenet
from unseen.models import video_attackers as video_attackers
from unseen.models.attackers import SUITES
from unseen.models.base import (
    MODELS,
    ClipClassifier,
    FrameAverage,
    canonical,
    create_model,
    macs,
    parameter_count,
    without_weights,
)

__all__ = [
    "MODELS",
    "SUITES",
    "ClipClassifier",
    "FrameAverage",
    "canonical",
    "create_model",
    "macs",
    "parameter_count",
    "without_weights",
]
