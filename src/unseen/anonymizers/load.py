"""Anonymizers by name or by folder: the one way in for every caller."""

from pathlib import Path

from unseen.anonymizers.base import Anonymizer
from unseen.anonymizers.handcrafted import ANONYMIZERS
from unseen.anonymizers.learned import load_filter
from unseen.errors import ConfigError
from unseen.registry import Spec, nearest


def load_anonymizer(name: str | Path) -> Anonymizer:
    """A trained filter by its run folder, or a handcrafted one by name (`downsample:8`).

    Args:
        name: a folder that `unseen train` wrote, or a name.

    Raises:
        ConfigError: neither.
        WeightsError: the folder holds no trained filter, or a damaged one; there is no fallback.
    """
    folder = Path(name)
    if folder.is_dir():
        return load_filter(folder)
    spec = Spec.parse(str(name))
    if spec.name in ANONYMIZERS:
        return ANONYMIZERS[spec.name](spec).eval()
    raise ConfigError(
        f"'{name}' is neither a folder of `unseen train` nor an anonymizer"
        f"{nearest(spec.name, ANONYMIZERS)}; choose from: {', '.join(ANONYMIZERS)}"
    )
