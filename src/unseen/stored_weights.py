"""Weights of networks in files: safetensors, written whole, read only where they fit exactly."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from unseen.errors import UnseenError, WeightsError
from unseen.files import read_json, write_json, written_whole

Network = TypeVar("Network", bound=nn.Module)
# What comes of files that do not hold what they must.
_DAMAGE = (UnseenError, ValueError, KeyError, TypeError, ArithmeticError, RuntimeError)


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's parameters and buffers, from whatever device it is on."""
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    with written_whole(path) as temporary:
        save_file(state, temporary)


def load_weights(network: nn.Module, path: Path, mend: str = "train again") -> None:
    """Put the weights of a file into a network.

    Args:
        network: they must fit it exactly.
        path: of `save_weights`.
        mend: what to do where they do not; part of the error.

    Raises:
        WeightsError: they are missing, damaged or do not fit, or not finite.
    """
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise WeightsError(f"{path} is missing, damaged or does not fit; {mend}") from error
    if any(not torch.isfinite(value).all() for value in network.state_dict().values()):
        raise WeightsError(f"{path} holds values that are not finite; {mend}")


@dataclass(frozen=True)
class StoredNetwork:
    """A kind of network in the folder of a run: its weights, and what is needed to build it.

    Attributes:
        what: it is, in errors.
        weights: the name of the safetensors file.
        about: the name of the JSON file.
    """

    what: str
    weights: str
    about: str

    def save(self, network: nn.Module, folder: Path, about: dict[str, Any]) -> None:
        """The weights first: where `about` is, all is there."""
        save_weights(network, folder / self.weights)
        write_json(folder / self.about, about)

    def load(self, folder: Path, build: Callable[[dict[str, Any]], Network]) -> Network:
        """The network that `build` makes of what was told about it, with its weights.

        Raises:
            WeightsError: there is none in `folder`, or it is damaged.
        """
        try:
            network = build(read_json(folder / self.about))
            load_weights(network, folder / self.weights)
        except OSError as error:
            raise WeightsError(f"{folder} holds no {self.what}: {error}") from error
        except _DAMAGE as error:
            reason = str(error).splitlines()[0]
            raise WeightsError(f"the {self.what} in {folder} is damaged: {reason}") from error
        return network.eval()
