"""Data sets by name: a new one is one file and one line here."""

from collections.abc import Callable
from pathlib import Path

from unseen.config import DataConfig
from unseen.data.clips import ClipDataset
from unseen.data.duet import load_duet
from unseen.data.manifest import load_manifest
from unseen.errors import DataError
from unseen.registry import Registry, nearest

Loader = Callable[[DataConfig, int], ClipDataset]
DATASETS: Registry[Loader] = Registry("data set")


def _duet(config: DataConfig, jobs: int, *, silhouette: bool = False) -> ClipDataset:
    return load_duet(
        target=config.target,
        private=config.private,
        size=config.size,
        frames=config.frames,
        seed=config.seed,
        counts={"train": config.train, "val": config.val, "test": config.test},
        silhouette=silhouette,
        jobs=jobs,
    )


DATASETS.add("duet", _duet)
DATASETS.add("duet:silhouette", lambda config, jobs: _duet(config, jobs, silhouette=True))


def load_data(config: DataConfig, *, jobs: int = 1, cache: Path | None = None) -> ClipDataset:
    """The data set that a configuration names.

    Args:
        config: `name` is one of `DATASETS`, or the path of a CSV manifest.
        jobs: processes to generate with.
        cache: folder for decoded clips of a manifest; None keeps them in memory.
    """
    if config.name in DATASETS:
        return DATASETS[config.name](config, jobs)
    path = Path(config.name)
    if path.suffix.lower() != ".csv":
        raise DataError(
            f"no data set '{config.name}'{nearest(config.name, DATASETS)}: name one of "
            f"{', '.join(DATASETS)}, or a manifest (a .csv file, see docs/your-own-videos.md)"
        )
    return load_manifest(
        path,
        target=config.target,
        private=config.private,
        size=config.size,
        frames=config.frames,
        seed=config.seed,
        cache=cache,
    )
