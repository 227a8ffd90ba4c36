"""What a network costs at work: f_D where the camera is, f_T behind it."""

import time
from typing import Any

import numpy as np
import torch
from torch import nn

from unseen.models import macs, parameter_count
from unseen.types import Clips


def network_cost(net: nn.Module, clip: Clips) -> dict[str, Any]:
    """Parameters, and multiply-accumulates and measured milliseconds for each frame of one clip.

    Args:
        net: in evaluation mode, on the device of `clip`; an anonymizer or a classifier.
        clip: one clip, `(1, 3, time, height, width)`.
    """
    frames = clip.shape[2]
    return {
        "parameters": parameter_count(net),
        "macs_per_frame": macs(net, clip) // frames,
        "milliseconds_per_frame": _milliseconds(net, clip) / frames,
    }


@torch.no_grad()
def _milliseconds(net: nn.Module, clip: Clips) -> float:
    """Median time of a pass over one clip."""
    times = []
    for _ in range(12):
        start = time.perf_counter()
        net(clip)
        if clip.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[2:]))
