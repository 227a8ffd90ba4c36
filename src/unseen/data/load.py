"""Data sets by name: a new one is one file and one line here."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import unseen.data.casia_webface
import unseen.data.daly
import unseen.data.drawn_actions
import unseen.data.drawn_faces
import unseen.data.hmdb51
import unseen.data.jhmdb
import unseen.data.lfw
import unseen.data.orl
import unseen.data.sbu
import unseen.data.ucf101
import unseen.data.vispr  # noqa: F401 - importing a reader registers it
from unseen.anonymizers.base import BoxKind
from unseen.config import DataConfig
from unseen.data import pa_hmdb51
from unseen.data.clips import ClipDataset, across
from unseen.data.decode import BoxFinder, Decoding, Progress
from unseen.data.duet import load_duet
from unseen.data.find_boxes import finders
from unseen.data.hmdb51 import read_hmdb51
from unseen.data.manifest import load_manifest
from unseen.data.manifest_splits import SplitBy
from unseen.data.manifest_table import RowFaults, read_table
from unseen.data.official import (
    OFFICIAL,
    Inventory,
    Report,
    check,
    read_official,
    split_number,
)
from unseen.data.official_clips import load_official
from unseen.data.pa_hmdb51_clips import with_test_frames
from unseen.data.pa_hmdb51_labels import VideoAnnotation
from unseen.data.statistics import LabelCounts, label_counts
from unseen.errors import ConfigError, DataError, Faults, UnknownNameError, together
from unseen.progress import counting
from unseen.registry import Registry, Spec, nearest

# Of generated data: takes `target`, `private`, `size`, `frames`, `seed`, `counts`, `jobs`, `ready`.
Loader = Callable[..., ClipDataset]
Load: TypeAlias = Callable[[], ClipDataset]
_NEITHER = "neither of the two data sets can be loaded"
DATASETS: Registry[Loader] = Registry("data set")
DATASETS.add("duet", load_duet)
DATASETS.add("duet:silhouette", partial(load_duet, silhouette=True))
DATASETS.add("duet:attributes", partial(load_duet, strangers=True))

ABOUT = {
    "duet": "generated: 8 interactions, 13 actor pairs; needs nothing",
    "duet:silhouette": "the same, actors white on black",
    "duet:attributes": "the same interactions by strangers out of doors; yes/no attributes alone",
    "sbu[:LISTS]": "SBU Kinect Interaction: 8 interactions, 13 actor pairs; --root DIR",
    "ucf101[:SPLIT]": "UCF101: 101 actions, 3 splits; --root DIR",
    "hmdb51[:SPLIT]": "HMDB51: 51 actions, 3 splits; --root DIR",
    "vispr[:ATTRIBUTES]": "VISPR: images; 68 attributes, or the subsets 17, 7, 5, 1; --root DIR",
    "pa-hmdb51": "PA-HMDB51: 5 attributes, frame by frame, of HMDB51's; --test-on-root DIR",
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
        name: of the data set, with its option (`pa-hmdb51:DIR`: with HMDB51's videos there).
        root: its folder.
        decode: read every listed file to its end.
        progress: called with (files read, files in all) while decoding.
    """
    spec = Spec.parse(name)
    if spec.name == pa_hmdb51.NAME:
        hmdb51 = None if spec.option is None else Path(spec.option)
        return pa_hmdb51.check_folder(root, hmdb51, decode=decode, progress=progress)
    return check(_official(name, root), decode=decode, progress=progress)


def count_labels(name: str, root: Path) -> LabelCounts:
    """How often each label occurs in each split of a published data set, see `LabelCounts`."""
    return label_counts(_official(name, root))


def _official(name: str, root: Path) -> Inventory:
    """`read_official`, with an error that knows of all that can be checked."""
    spec = Spec.parse(name)
    if spec.name == pa_hmdb51.NAME:
        raise ConfigError(f"'{name}' takes no option here: write {pa_hmdb51.NAME}")
    if spec.name not in OFFICIAL:
        known = sorted([*OFFICIAL, pa_hmdb51.NAME])
        raise UnknownNameError(
            f"unknown official data set '{name}'{nearest(name, known)}; choose from: "
            f"{', '.join(known)}"
        )
    return read_official(name, root)


def load_data(
    config: DataConfig,
    *,
    jobs: int = 1,
    cache: Path | None = None,
    boxes: Collection[BoxKind] = (),
) -> ClipDataset:
    """The data set that a configuration names, or the two, see `clips.across`.

    Args:
        config: `name`, and `private_name` if there is one, is one of `DATASETS`, a published data
            set in the folder `root` (`unseen.data.official`), or the path of a CSV manifest.
        jobs: processes to generate with.
        cache: folder for decoded clips; None: the configuration's, or, where it names none, they
            are kept in memory.
        boxes: kinds that an anonymizer needs (`needs_boxes`): where the data has none, they are
            found in its frames, see `find_boxes`.

    Raises:
        ConfigError: boxes of bodies are to be found, and the person detector cannot be used.
        DataError: naming what is wrong with the data, of two data sets with both.
    """
    return find_data(config, jobs=jobs, cache=cache, boxes=boxes)()


def find_data(
    config: DataConfig,
    *,
    jobs: int = 1,
    cache: Path | None = None,
    boxes: Collection[BoxKind] = (),
    target_alone: bool = False,
) -> Load:
    """What loads the data, when folders, lists and detectors were looked at, but no clip was.

    Args and errors as in `load_data`: a caller can tell of these beside faults of its own.
    `target_alone`: no private labels are wanted, and so no data set that has only them.
    """
    if cache is None and config.cache is not None:
        cache = Path(config.cache)
    faults = Faults()
    find: tuple[BoxFinder, ...] = ()
    with faults.collected():
        find = () if has_boxes(config) else finders(boxes, config.person_detector)
    how = Decoding(config.size, config.frames, find, cache, counting("reading", "file"))
    with faults.collected():
        load = _find(config, how, jobs, target_alone)
    faults.refuse("the data cannot be loaded")
    return lambda: replace(load(), config=config)


def _find(config: DataConfig, how: Decoding, jobs: int, target_alone: bool) -> Load:
    if config.test_on is not None:
        return _tested_on_pa_hmdb51(config, how, jobs, target_alone)
    found = partial(_found, config, how, jobs)
    of_target: SplitBy | None = None
    of_private: SplitBy | None = None
    if config.split_by:
        column, *hidden = config.split_by
        if config.private_name is None:
            of_target = (column, hidden)
        else:
            of_target, of_private = (column, None), (None, hidden)
    target = partial(found, config.name, config.root, "--root", split_by=of_target)
    if config.private_name is None or target_alone:
        private = None if target_alone else config.private
        whole = partial(target(), target=config.target, private=private)
        _look_at_generated(config.name, whole)
        return whole
    private_set = partial(
        found, config.private_name, config.private_root, "--private-root", split_by=of_private
    )
    both = together(DataError, _NEITHER, (target, private_set))
    names = (config.name, config.private_name)
    looks = [
        partial(_look_at_generated, *each)
        for each in zip(names, _with_labels(config, *both), strict=True)
    ]
    together(DataError, _NEITHER, looks)
    return lambda: across(*_labelled(config, *both))


def has_boxes(config: DataConfig) -> bool:
    """Whether the data come with boxes of faces and bodies, as all generated ones do."""
    return all(name in DATASETS for name in (config.name, config.private_name or config.name))


def _found(
    config: DataConfig,
    how: Decoding,
    jobs: int,
    name: str,
    root: str | None,
    option: str,
    *,
    split_by: SplitBy | None = None,
) -> Loader:
    """What loads a data set by its name, but for its labels: `target` and `private` are open."""
    load: Loader
    path = Path(name)
    if name in DATASETS:
        counts = {"train": config.train, "val": config.val, "test": config.test}
        load = partial(DATASETS[name], size=how.size, frames=how.frames, counts=counts, jobs=jobs)
    elif Spec.parse(name).name in OFFICIAL:
        if root is None:
            raise DataError(f"where is '{name}'? Name its folder: {option} DIR")
        inventory = read_official(name, Path(root))
        load = partial(load_official, inventory, how, split_by=split_by, stills=config.stills)
    elif path.suffix.lower() == ".csv":
        read_table(path, RowFaults())  # whether it can be read
        load = partial(load_manifest, path, how, split_by=split_by, stills=config.stills)
    else:
        known = [*DATASETS, *OFFICIAL]
        raise DataError(
            f"no data set '{name}'{nearest(name, known)}: name one of "
            f"{', '.join(known)}, or a manifest (a .csv file, see docs/your-own-videos.md)"
        )
    return partial(load, seed=config.seed)


def _look_at_generated(name: str, load: Loader) -> None:
    """Raise what is wrong with the labels of generated data, which have no clips to be read."""
    if name in DATASETS:
        _looked_at(load)


def _with_labels(config: DataConfig, target: Loader, private: Loader) -> tuple[Loader, Loader]:
    return (
        partial(target, target=config.target, private=None),
        partial(private, target=None, private=config.private),
    )


def _labelled(config: DataConfig, target: Loader, private: Loader) -> list[ClipDataset]:
    """Two data sets, one with the target's labels, one with the private ones.

    What is wrong with either but for its clips is told before those of the other are read, which
    takes hours.
    """
    labelled = _with_labels(config, target, private)
    together(DataError, _NEITHER, [partial(_looked_at, load) for load in labelled])
    return together(DataError, _NEITHER, labelled)


class _LookedAt(Exception):  # noqa: N818 - of no error
    """All but the clips of a data set is as it must be."""


def _looked_at(load: Loader) -> None:
    """Load all but the clips, and raise what is wrong with it."""

    def stop() -> None:
        raise _LookedAt

    with suppress(_LookedAt):
        load(ready=stop)


def _tested_on_pa_hmdb51(config: DataConfig, how: Decoding, jobs: int, target_alone: bool) -> Load:
    """The target task of HMDB51 and attributes of another data set, tested on PA-HMDB51."""
    spec = Spec.parse(config.name)
    if spec.name != "hmdb51" or config.private_name is None:
        raise ConfigError(
            "PA-HMDB51 tests an action of HMDB51 and attributes such as those of VISPR-5; name "
            "both: --data hmdb51 --private-data vispr:5"
        )
    found = partial(_found, config, how, jobs)
    reading: tuple[Callable[[], Any], ...] = (
        partial(_annotations, config.test_on_root),
        partial(found, config.name, config.root, "--root"),
    )
    if not target_alone:
        reading += (partial(found, config.private_name, config.private_root, "--private-root"),)
    annotations, _, *images = together(DataError, "PA-HMDB51 cannot be tested on", reading)
    inventory = read_hmdb51(
        Path(config.root or ""),
        split=split_number(spec),
        annotated={video.name: video.action for video in annotations},
        films=config.films,
    )
    paths = {item.path.rpartition("/")[2]: inventory.root / item.path for item in inventory.items}
    # Missing ones are told with all others that are.
    there = [v for v in annotations if v.name in paths and paths[v.name].is_file()]
    checked = [pa_hmdb51.too_short(paths[video.name], video, decode=False) for video in there]
    if faults := [fault for fault in checked if fault is not None]:
        raise DataError("PA-HMDB51 cannot be tested on: videos are at fault", faults)
    videos = partial(load_official, inventory, how, seed=config.seed)

    def named(target: ClipDataset) -> ClipDataset:
        return replace(target, name=f"{target.name}, pa-hmdb51")

    def load() -> ClipDataset:
        if target_alone:
            return named(videos(target=config.target, private=None))
        target, private = _labelled(config, videos, *images)
        frames = with_test_frames(private, annotations, paths, how, stills=config.stills)
        return across(named(target), frames)

    return load


def _annotations(root: str | None) -> tuple[VideoAnnotation, ...]:
    if root is None:
        raise DataError(
            "where are the annotations of PA-HMDB51? Name their folder: --test-on-root DIR"
        )
    return pa_hmdb51.read_annotations(Path(root))
