"""Checkpoints of a game in progress: one safetensors file that is either whole or the last one.

Weights and optimiser moments are tensors; counters, curves and the configuration travel as JSON in
the file's own metadata. No pickle is written or read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from unseen.errors import RunError
from unseen.files import written_whole


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        tensors: flat, named `module/parameter` and `optimizer/index/moment`.
        progress: everything that is not a tensor.
    """

    tensors: Mapping[str, Tensor]
    progress: dict[str, Any]


def pack(
    modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
) -> dict[str, Tensor]:
    """All tensors of modules and of Adam's state, by flat names."""
    tensors = {
        f"{name}/{key}": value.detach().cpu().contiguous().clone()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for name, optimizer in optimizers.items():
        for index, moments in optimizer.state_dict()["state"].items():
            for key, value in moments.items():
                tensors[f"{name}#{index}#{key}"] = torch.as_tensor(value).cpu().contiguous().clone()
    return tensors


def unpack(
    checkpoint: Checkpoint,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
) -> None:
    """Put the tensors of a checkpoint back where `pack` took them from."""
    for name, module in modules.items():
        prefix = f"{name}/"
        module.load_state_dict(
            {
                key.removeprefix(prefix): value
                for key, value in checkpoint.tensors.items()
                if key.startswith(prefix)
            }
        )
    for name, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in checkpoint.tensors.items():
            owner, _, rest = key.partition("#")
            if owner == name and rest:
                index, _, moment = rest.partition("#")
                state.setdefault(int(index), {})[moment] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the previous one stays until this one is complete."""
    with written_whole(path) as temporary:
        save_file(
            dict(checkpoint.tensors), temporary, {"progress": json.dumps(checkpoint.progress)}
        )


def load(path: Path) -> Checkpoint:
    """Read a checkpoint."""
    try:
        with safe_open(path, framework="pt") as file:
            progress = dict(json.loads((file.metadata() or {})["progress"]))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is not a readable checkpoint; start the run anew") from error
    return Checkpoint(tensors, progress)
