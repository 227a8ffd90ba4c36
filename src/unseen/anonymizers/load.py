"""Anonymizers by name or by folder: the one way in for every caller."""

from pathlib import Path

import torch

from unseen.anonymizers.base import Anonymizer
from unseen.anonymizers.handcrafted import ANONYMIZERS
from unseen.anonymizers.learned import load_filter, read_contract
from unseen.anonymizers.modifier import MODIFIER_CONTRACT, load_modifier
from unseen.errors import ConfigError
from unseen.registry import Spec, nearest


def load_anonymizer(name: str | Path) -> Anonymizer:
    """A trained filter or face modifier by its run folder, or a handcrafted one by name.

    Args:
        name: a folder that `unseen train` wrote, or a name.

    Raises:
        ConfigError: neither.
        WeightsError: the folder holds no trained filter, or a damaged one; there is no fallback.
    """
    folder = Path(name)
    if folder.is_dir():
        if read_contract(folder)["contract"] == MODIFIER_CONTRACT:
            return load_modifier(folder)
        return load_filter(folder)
    spec = Spec.parse(str(name))
    if spec.name in ANONYMIZERS:
        return ANONYMIZERS[spec.name](spec).eval()
    raise ConfigError(
        f"'{name}' is neither a folder of `unseen train` nor an anonymizer"
        f"{nearest(spec.name, ANONYMIZERS)}; choose from: {', '.join(ANONYMIZERS)}"
    )


def refuse_device(name: str) -> None:
    """Raise `ConfigError` where PyTorch has no such device (`cpu`, `cuda`, `cuda:1`)."""
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # without CUDA support, PyTorch asserts
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device '{name}' cannot be used ({reason}); use cpu") from error
