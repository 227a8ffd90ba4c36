"""The learned filter f_D: a network between input limits and output limits."""

import hashlib
import math
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.anonymizers.base import Anonymizer, Step
from unseen.anonymizers.fast import FastNet
from unseen.anonymizers.johnson import JohnsonNet
from unseen.anonymizers.limits import (
    INPUT_LIMITS,
    OUTPUT_LIMITS,
    InputLimit,
    OutputLimit,
)
from unseen.errors import ConfigError, UnknownNameError, WeightsError
from unseen.files import read_json, write_json
from unseen.overrides import Section
from unseen.registry import Spec
from unseen.stored_weights import load_weights, save_weights
from unseen.types import Boxes, Clips, from_frames, to_frames

WEIGHTS_FILE = "anonymizer.safetensors"
CONTRACT_FILE = "anonymizer.json"
CONTRACT = "unseen/anonymizer/1"


class FilterConfig(Section):
    """Which filter to learn.

    Attributes:
        network: `fast` (small, causal) or `johnson` (the papers', frame by frame).
        width: channels of its first layer.
        blocks: residual blocks.
        channels: of the network's output, 1 or 3.
        input_limits: in order; see `unseen.anonymizers.limits`.
        output_limits: in order.
    """

    network: Literal["fast", "johnson"] = "fast"
    width: int = Field(24, ge=4, le=1024, multiple_of=4)
    blocks: int = Field(2, ge=1, le=100)
    channels: Literal[1, 3] = 3
    input_limits: tuple[str, ...] = ()
    output_limits: tuple[str, ...] = ()


class LearnedFilter(Anonymizer):
    """f_D with its limits: RGB clips in [0, 1] to clips of the same shape in [0, 1]."""

    def __init__(self, config: FilterConfig, *, size: int, name: str = "learned") -> None:
        super().__init__()
        self.name = name
        self.config = config
        self.working_size = size
        before: list[InputLimit] = []
        after: list[OutputLimit] = []
        for text in config.input_limits:
            spec = Spec.parse(text)
            before.append(INPUT_LIMITS[spec.name](spec))
        for text in config.output_limits:
            spec = Spec.parse(text)
            after.append(OUTPUT_LIMITS[spec.name](spec))
        # The same modules twice: with their type here, as children below.
        self.before, self.after = tuple(before), tuple(after)
        self.input_limits = nn.ModuleList(before)
        self.output_limits = nn.ModuleList(after)
        channels = before[-1].channels if before else 3
        self.sees_stills = all(limit.sees_stills for limit in before)
        self.random = any(limit.random for limit in after)
        self.network: FastNet | JohnsonNet
        if config.network == "fast":
            self.network = FastNet(channels, config.channels, config.width, config.blocks)
        else:
            self.network = JohnsonNet(config.width, config.blocks, outputs=config.channels)
        for parameter in self.network.parameters():
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """See `Anonymizer.step`."""
        frames, states = self._network(clips, state)
        return Step(self._limited(frames, clips, noise=True), states)

    def with_and_without_noise(self, clips: Clips) -> tuple[Clips, Clips]:
        """Whole clips as they leave, and as they would without the noise, from one pass.

        The second tells more than the first: an adversary that fails on it fails on both.
        """
        frames, _ = self._network(clips, None)
        noisy = self._limited(frames, clips, noise=True)
        return noisy, self._limited(frames, clips, noise=False) if self.random else noisy

    def _network(self, clips: Clips, state: Any) -> tuple[Tensor, list[Any]]:
        """The network's output as frames, before any output limit, and what to remember."""
        states: list[Any] = [None] * (len(self.before) + 1) if state is None else list(state)
        x: Tensor = clips
        for i, limit in enumerate(self.before):
            x, states[i] = limit.step(x, states[i])
        if isinstance(self.network, FastNet):
            x, states[-1] = self.network.step(x, states[-1])
            return to_frames(x), states
        return self.network(to_frames(x.expand(-1, 3, -1, -1, -1))), states

    def _limited(self, frames: Tensor, clips: Clips, *, noise: bool) -> Clips:
        """Frames behind the output limits, as clips of the shape of `clips`."""
        height, width = clips.shape[-2:]
        for limit in self.after:
            if noise or not limit.random:
                frames = limit(frames, (height, width))
        frames = frames.clamp(0.0, 1.0)
        if frames.shape[-2:] != (height, width):
            frames = F.interpolate(frames, (height, width), mode="bilinear", align_corners=False)
        return from_frames(frames.expand(-1, 3, -1, -1), len(clips))


def save_filter(learned: LearnedFilter, folder: Path, about: dict[str, Any]) -> None:
    """Write weights (safetensors) and their contract (JSON) into `folder`.

    Args:
        learned: the filter.
        folder: the run's folder.
        about: what it was trained on and for; shown to whoever loads it.
    """
    contract = {
        "contract": CONTRACT,
        "name": learned.name,
        "input": "RGB clips, float32 (batch, 3, time, height, width), values in [0, 1]",
        "output": "the same shape and range",
        "working_size": learned.working_size,
        "random": learned.random,
        "filter": learned.config.model_dump(mode="json"),
        "about": about,
    }
    write_anonymizer(learned, folder, contract)


def write_anonymizer(anonymizer: Anonymizer, folder: Path, contract: dict[str, Any]) -> None:
    """Write an anonymizer's weights and this contract into `folder`."""
    save_weights(anonymizer, folder / WEIGHTS_FILE)
    write_json(folder / CONTRACT_FILE, contract)


def filter_hash(learned: LearnedFilter) -> str:
    """SHA-256 over all that its output depends on, hexadecimal: to tell two filters apart."""
    sha = hashlib.sha256(f"{learned.config.model_dump_json()} {learned.working_size}".encode())
    for name, value in sorted(learned.state_dict().items()):
        array = value.detach().cpu().contiguous().numpy()
        sha.update(f"{name} {array.shape} {array.dtype}".encode() + array.tobytes())
    return sha.hexdigest()


def read_contract(folder: Path) -> dict[str, Any]:
    """The contract of the anonymizer in `folder`, of whatever kind."""
    contract_path, weights_path = folder / CONTRACT_FILE, folder / WEIGHTS_FILE
    for path in (contract_path, weights_path):
        if not path.is_file():
            raise WeightsError(f"{folder} holds no trained anonymizer: {path.name} is missing")
    try:
        contract: dict[str, Any] = read_json(contract_path)
        contract["contract"]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(folder, error) from error
    return contract


def not_trained(contract: dict[str, Any]) -> bool:
    """Whether what was written came out of a game of no steps."""
    return bool(contract["about"].get("steps") == 0)


def damaged(folder: Path, error: Exception) -> WeightsError:
    """What to raise where a contract does not say what it must."""
    return WeightsError(f"{folder / CONTRACT_FILE} is damaged: {error}".splitlines()[0])


def load_filter(folder: Path) -> LearnedFilter:
    """Load a filter that `save_filter` wrote; weights must fit exactly."""
    contract = read_contract(folder)
    if contract["contract"] != CONTRACT:
        raise WeightsError(f"{folder / CONTRACT_FILE}: unknown contract '{contract['contract']}'")
    try:
        config = FilterConfig.model_validate(contract["filter"])
        size, name = int(contract["working_size"]), str(contract["name"])
        rate, untrained = contract["about"].get("fps"), not_trained(contract)
        if rate is not None and not 0 < (rate := float(rate)) < math.inf:
            raise ValueError(f"fps is {rate}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(folder, error) from error
    try:
        learned = LearnedFilter(config, size=size, name=name)
    except (UnknownNameError, ConfigError) as error:
        raise WeightsError(f"{folder / CONTRACT_FILE}: {error}") from error
    learned.frame_rate, learned.removes_nothing = rate, untrained
    load_weights(learned, folder / WEIGHTS_FILE)
    return learned.eval()
