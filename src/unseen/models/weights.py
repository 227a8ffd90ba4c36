"""Published weights as a start: safetensors into a network, and pickles made into safetensors."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unseen.errors import ConfigError, Faults, WeightsError
from unseen.files import refuse_unwritable, written_whole

SUFFIX = ".safetensors"
_PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".tar")
_SHOWN = 3
# Batches that a BatchNorm has seen: older files have no such counter, and nothing depends on it.
_COUNTER = "num_batches_tracked"


def weights_file(text: str) -> Path:
    """The weights that a specification names behind its `@`, which must exist.

    Raises:
        ConfigError: it is a pickle, which is never read here.
        WeightsError: there is no such file.
    """
    path = Path(text)
    if path.suffix in _PICKLES:
        raise ConfigError(
            f"{path} is a pickle, which can run code when it is read; make a {SUFFIX} file of it "
            "once, with `unseen convert-weights`"
        )
    if not path.is_file():
        raise WeightsError(f"weights {path}: no such file")
    return path


def load_body(net: nn.Module, path: Path) -> None:
    """Put stored weights into `net`, but for its last layer, which keeps its random ones.

    Args:
        net: a network whose last layer is made for other classes than the stored one.
        path: a safetensors file of tensors named as in `net`.

    Raises:
        WeightsError: the file is damaged, or is of another network; names what does not fit.
    """
    _load(net, path, _last_layers(net))


def load_whole(net: nn.Module, path: Path) -> None:
    """Put stored weights into `net`, all of them; otherwise as `load_body`."""
    _load(net, path, ())


def _load(net: nn.Module, path: Path, last: tuple[str, ...]) -> None:
    """Put stored weights into `net`, but for some layers."""
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"weights {path} cannot be read as safetensors: {error}") from error
    own = net.state_dict()
    body = {key: value for key, value in stored.items() if not _in(key, last)}
    faults = [f"lacks {key}" for key in own if key not in stored and not _optional(key, last)]
    faults += [f"has {key}, which the network has not" for key in body if key not in own]
    faults += [
        f"{key} is {_shape(value)}, not {_shape(own[key])}"
        for key, value in body.items()
        if key in own and value.shape != own[key].shape
    ]
    faults += [
        f"{key} holds {str(value.dtype).removeprefix('torch.')} numbers"
        for key, value in body.items()
        if key in own and value.is_floating_point() != own[key].is_floating_point()
    ]
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise WeightsError(
            f"weights {path} are of another network: {'; '.join(faults[:_SHOWN])}{more}"
        )
    net.load_state_dict(own | body)


def refuse_conversion(source: Path, out: Path, *, unsafe_pickle: bool) -> None:
    """Raise what `convert_weights` would before it reads anything, all of it at once."""
    faults = Faults()
    with faults.collected():
        if out.suffix != SUFFIX:
            raise ConfigError(f"{out}: the name must end in {SUFFIX}")
        refuse_unwritable(out)
    with faults.collected():
        if not source.is_file():
            raise WeightsError(f"{source}: no such file")
    with faults.collected():
        # What is missing and is not called as pickles are is only missing.
        if not unsafe_pickle and (source.is_file() or source.suffix in _PICKLES):
            raise ConfigError(
                f"{source} is a pickle: a file made to do harm can run code when it is read. If "
                "you trust where it comes from, say so with --unsafe-pickle"
            )
    faults.refuse(f"{source} cannot be converted, for several reasons:", ConfigError)


def convert_weights(
    source: Path, out: Path, net: nn.Module, *, unsafe_pickle: bool, scale: float = 1.0
) -> int:
    """Write the state dict of a pickle (`.pth`) as safetensors, under the names that `net` has.

    Names that differ are matched by their order, if there are as many tensors and all but the last
    layer's have the same shapes: the same architecture in another package's words.

    Args:
        source: the pickle. It is read by PyTorch's restricted unpickler, which builds tensors and
            plain containers only; that has had holes, so take files from sources that you trust.
        out: the safetensors file.
        net: the network that the weights are for.
        unsafe_pickle: must be True: that the caller knows what a pickle is.
        scale: what the first layer's weights are multiplied with, not its biases; of a network
            whose input was from -127.5 to 127.5 and is from -1 to 1 here, 127.5.

    Returns:
        How many tensors were written.

    Raises:
        ConfigError: `unsafe_pickle` is False, or `out` is no safetensors file by name.
        WeightsError: the file cannot be read, or is of another network.
    """
    refuse_conversion(source, out, unsafe_pickle=unsafe_pickle)
    stored = _unpickled(source)
    if isinstance(stored, Mapping) and isinstance(stored.get("state_dict"), Mapping):
        stored = stored["state_dict"]
    if not isinstance(stored, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in stored.items()
    ):
        raise WeightsError(f"{source} holds no state dict: tensors by name")
    tensors = {key: value for key, value in stored.items() if not key.endswith(_COUNTER)}
    if not tensors:
        raise WeightsError(f"{source} holds no tensors")
    for key, value in tensors.items():
        if value.layout != torch.strided or value.is_meta:
            kind = "without values" if value.is_meta else "sparse"
            raise WeightsError(f"{source}: the tensor {key} is {kind}; only dense ones are read")
    named = _renamed(source, tensors, net)
    first = next(key for key in named if key.endswith("weight"))
    named[first] = named[first] * scale
    with written_whole(out) as temporary:
        save_file({key: value.contiguous().clone() for key, value in named.items()}, temporary)
    return len(named)


def _unpickled(source: Path) -> Any:
    """What a file holds, as far as PyTorch's restricted unpickler builds it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is refused afterwards
            return torch.load(source, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # of any kind, whatever the bytes happen to mean
        if strange := re.search(r"GLOBAL (\S+)", str(error)):
            what = f"holds {strange[1]}, and only tensors are read: save its state_dict() alone"
        elif "TorchScript" in str(error):
            what = "is a TorchScript program; a state dict is needed"
        else:
            what = "is no whole file that torch.save wrote; download it again"
        raise WeightsError(f"{source} {what}") from error


def _renamed(source: Path, stored: dict[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    own = {key: value for key, value in net.state_dict().items() if not key.endswith(_COUNTER)}
    last = _last_layers(net)
    in_order = stored if own.keys() != stored.keys() else {key: stored[key] for key in own}
    pairs = list(zip(own.items(), in_order.values(), strict=False))
    wrong = [
        key
        for (key, mine), value in pairs
        if (mine.shape != value.shape and not _in(key, last))
        or mine.is_floating_point() != value.is_floating_point()
    ]
    if len(own) != len(stored) or wrong:
        count = f"{len(stored)} tensors instead of {len(own)}"
        what = f"no tensor fits {wrong[0]}" if wrong else count
        raise WeightsError(f"{source} is of another network: {what}")
    return {key: value for (key, _), value in pairs}


def _last_layers(net: nn.Module) -> tuple[str, ...]:
    """The names of the classifier: what timm says of it, or the last layer that has parameters."""
    named = getattr(net, "pretrained_cfg", {}).get("classifier")
    if named:
        return (named,) if isinstance(named, str) else tuple(named)
    return ([name for name, module in net.named_modules() if module._parameters][-1],)


def _in(key: str, layers: tuple[str, ...]) -> bool:
    return key.startswith(tuple(f"{layer}." for layer in layers))


def _optional(key: str, last: tuple[str, ...]) -> bool:
    return _in(key, last) or key.endswith(_COUNTER)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
