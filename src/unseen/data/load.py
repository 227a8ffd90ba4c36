"""Data sets by name: a new one is one file and one line here."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import unseen.data.casia_webface
import unseen.data.daly
import unseen.data.hmdb51
import unseen.data.jhmdb
import unseen.data.lfw
import unseen.data.orl
import unseen.data.sbu
import unseen.data.ucf101
import unseen.data.vispr  # noqa: F401 - importing a reader registers it
from unseen.config import DataConfig
from unseen.data.clips import ClipDataset
from unseen.data.decode import Progress
from unseen.data.duet import load_duet
from unseen.data.manifest import load_manifest
from unseen.data.official import OFFICIAL, Report, check, read_official
from unseen.data.official_clips import load_official
from unseen.errors import DataError
from unseen.registry import Registry, Spec, nearest

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


ABOUT = {
    "duet": "generated: 8 interactions, 13 actor pairs; needs nothing",
    "duet:silhouette": "the same, actors white on black",
    "sbu[:LISTS]": "SBU Kinect Interaction: 8 interactions, 13 actor pairs; --root DIR",
    "ucf101[:SPLIT]": "UCF101: 101 actions, 3 splits; --root DIR",
    "hmdb51[:SPLIT]": "HMDB51: 51 actions, 3 splits; --root DIR",
    "vispr[:ATTRIBUTES]": "VISPR: images; 68 attributes, or the subsets 17, 7, 5, 1; --root DIR",
    "jhmdb[:SPLIT]": "JHMDB: 21 actions with boxes, 3 splits; --root DIR",
    "daly": "DALY: 10 actions with boxes on keyframes; --root DIR",
    "lfw": "Labeled Faces in the Wild: 5,749 people, 10 folds of pairs; --root DIR",
    "casia-webface": "CASIA-WebFace, or any folder of images for each person; --root DIR",
    "orl": "ORL (AT&T): 40 people, 10 grey faces each; --root DIR",
    "FILE.csv": "a manifest of your own videos (docs/your-own-videos.md)",
}


def check_data(
    name: str, root: Path, *, decode: bool = False, progress: Progress | None = None
) -> Report:
    """Compare a published data set in a folder with its lists and its official numbers.

    Args:
        name: of the data set, with its option.
        root: its folder.
        decode: read every listed file to its end.
        progress: called with (files read, files in all) while decoding.
    """
    return check(read_official(name, root), decode=decode, progress=progress)


def load_data(config: DataConfig, *, jobs: int = 1, cache: Path | None = None) -> ClipDataset:
    """The data set that a configuration names.

    Args:
        config: `name` is one of `DATASETS`, a published data set in the folder `root`
            (`unseen.data.official`), or the path of a CSV manifest.
        jobs: processes to generate with.
        cache: folder for decoded clips of a manifest; None keeps them in memory.
    """
    if config.name in DATASETS:
        return DATASETS[config.name](config, jobs)
    path = Path(config.name)
    load: Callable[..., ClipDataset]
    if Spec.parse(config.name).name in OFFICIAL:
        if config.root is None:
            raise DataError(f"where is '{config.name}'? Name its folder: --root DIR")
        load = partial(load_official, read_official(config.name, Path(config.root)))
    elif path.suffix.lower() == ".csv":
        load = partial(load_manifest, path)
    else:
        known = [*DATASETS, *OFFICIAL]
        raise DataError(
            f"no data set '{config.name}'{nearest(config.name, known)}: name one of "
            f"{', '.join(known)}, or a manifest (a .csv file, see docs/your-own-videos.md)"
        )
    return load(
        target=config.target,
        private=config.private,
        size=config.size,
        frames=config.frames,
        seed=config.seed,
        cache=cache,
    )
