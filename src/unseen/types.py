"""Shapes that the whole project uses.

A clip is `float32 (batch, 3, time, height, width)`, RGB, values in [0, 1]. Stored clips are
`uint8 (clips, time, height, width, 3)`. Boxes are pixels, `(x0, y0, x1, y1)`, with NaN for
"no such box in this frame".
"""

from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

Clips: TypeAlias = Float[Tensor, "batch 3 time height width"]
Frames: TypeAlias = Float[Tensor, "frames 3 height width"]
Logits: TypeAlias = Float[Tensor, "batch classes"]
Boxes: TypeAlias = Float[Tensor, "batch time boxes 4"]
StoredClips: TypeAlias = UInt8[np.ndarray, "clips time height width 3"]


def to_frames(clips: Tensor) -> Tensor:
    """All frames of all clips as one batch, clip by clip; of any number of channels.

    Args:
        clips: `(batch, channels, time, height, width)`.

    Returns:
        `(batch * time, channels, height, width)`.
    """
    return clips.transpose(1, 2).flatten(0, 1)


def from_frames(frames: Tensor, batch: int) -> Tensor:
    """What `to_frames` made frames of, of so many clips; channels and size may have changed."""
    return frames.reshape(batch, -1, *frames.shape[1:]).transpose(1, 2)


def to_clips(stored: StoredClips, device: torch.device | str = "cpu") -> Clips:
    """Stored clips as network input: [0, 255] becomes [0, 1], channels go first."""
    tensor = torch.from_numpy(np.ascontiguousarray(stored)).to(device)
    return tensor.permute(0, 4, 1, 2, 3).to(torch.float32).div_(255.0)


def to_stored(clips: Clips) -> StoredClips:
    """Network output as stored clips: rounded to the nearest of 256 levels."""
    levels = clips.detach().clamp(0.0, 1.0).mul(255.0).round_().to(torch.uint8)
    return levels.permute(0, 2, 3, 4, 1).cpu().numpy()
