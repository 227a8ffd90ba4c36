"""Published data sets in their official layouts: what their lists say, and what is on the disk.

A reader, one in the module of each data set, turns its own lists and labels into an `Inventory`;
`check` compares that with the official numbers and with the disk. Importing a reader's module
registers it. `official_clips` makes clips of an inventory.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from unseen.data.clips import SPLITS, SplitName
from unseen.data.decode import Progress
from unseen.data.pictures import read_picture
from unseen.data.video import read_frames
from unseen.errors import ConfigError, DataError, VideoError, nothing_loaded
from unseen.registry import Registry, Spec

IMAGE_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Item:
    """What a data set's lists say of one video, image or folder of frames.

    Attributes:
        path: relative to the data set's root, with `/`.
        split: as published; None where nothing is published and the split is to be drawn.
        labels: per column one text, as a manifest has them: a class name, or `0` and `1`.
        frames: `[start, end)`, counted from 0; None: all.
        group: items of one group belong into one split (the takes of one UCF101 group); None:
            the item stands alone.
    """

    path: str
    split: SplitName | None
    labels: Mapping[str, str]
    frames: tuple[int, int] | None = None
    group: str | None = None


@dataclass(frozen=True)
class Inventory:
    """What the lists of a data set say, and which of its files are there.

    Attributes:
        name: `ucf101:1`, option included.
        root: its folder.
        kind: what a path of an item is: a video, a folder of frame images, or one image.
        items: in the order of the lists.
        files: the paths of that kind on the disk.
        counts: numbers found, by what was counted (`videos`, `classes`, `train`, ...).
        official: the published numbers, by the same keys.
        unused: paths that the lists name and leave out of every split.
        absent: official classes or sets that are not there at all, by a key of `counts`.
        faults: label mistakes, malformed lines and the like.
        pattern: which files in a folder of frames are frames.
        fps: frames per second of folders of frames; at which images are shown as clips.
    """

    name: str
    root: Path
    kind: Literal["video", "frames", "image"]
    items: tuple[Item, ...]
    files: frozenset[str]
    counts: Mapping[str, int]
    official: Mapping[str, int]
    unused: frozenset[str] = frozenset()
    absent: Mapping[str, Sequence[str]] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    pattern: str = "*"
    fps: float = 25.0


Reader: TypeAlias = Callable[[Path, Spec], Inventory]
OFFICIAL: Registry[Reader] = Registry("official data set")


def read_official(name: str, root: Path) -> Inventory:
    """The inventory of a data set by its name with its option, as in `ucf101:2`.

    Raises:
        UnknownNameError: no such data set; those are known whose modules were imported.
        ConfigError: an option that it does not have.
        DataError: the root is not there, or holds nothing of the official layout.
    """
    spec = Spec.parse(name)
    return OFFICIAL[spec.name](root, spec)


def expect(name: str, root: Path, layout: Mapping[str, str]) -> None:
    """Raise unless a folder has what a data set's official layout begins with.

    Args:
        name: the data set's.
        root: the folder.
        layout: paths relative to it, each with what it is.

    Raises:
        DataError: naming all that is not there.
    """
    if not root.is_dir():
        parts = ", ".join(f"'{path}' ({what})" for path, what in layout.items())
        holds = f" with {parts}" if parts else ""
        raise DataError(f"there is no folder '{root}': {name} is a folder{holds}")
    missing = [
        f"there is no '{root / path}': {what}"
        for path, what in layout.items()
        if not (root / path).exists()
    ]
    if missing:
        raise DataError(f"'{root}' is not {name} in its official layout", missing)


def read_lines(path: Path, faults: list[str]) -> list[tuple[int, str]]:
    """The lines of a list that are not blank, with their numbers, stripped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        faults.append(f"there is no '{path}'")
        return []
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"'{path}' cannot be read as UTF-8 text: {error}")
        return []
    numbered = enumerate(map(str.strip, text.splitlines()), start=1)
    return [(number, line) for number, line in numbered if line]


def action_lists(folder: Path, split: int) -> dict[str, Path]:
    """The lists `<action>_test_split<N>.txt` of HMDB51 and JHMDB, by action.

    Raises:
        DataError: there is none.
    """
    ending = f"_test_split{split}.txt"
    found = {path.name.removesuffix(ending): path for path in folder.glob(f"*{ending}")}
    if not found:
        raise DataError(f"'{folder}' holds no list called <action>{ending}")
    return dict(sorted(found.items()))


def source_of(video: str, action: str) -> str | None:
    """What a video of HMDB51 or JHMDB was cut from; None where its name does not say."""
    found = re.match(f"(.+)_{re.escape(action)}_", video)
    return found[1] if found else None


def split_counts(items: Sequence[Item], *splits: SplitName) -> dict[str, int]:
    """How many items there are of each of these splits."""
    return {split: sum(item.split == split for item in items) for split in splits}


def refuse_faults(name: str, root: Path, faults: Iterable[str]) -> None:
    """Raise one error that names all faults of a data set, if there are any."""
    if listed := list(faults):
        raise nothing_loaded(f"{name} in '{root}'", listed)


def split_number(spec: Spec) -> int:
    """The option of a data set with three official splits; 1 without."""
    number = spec.integer(1)
    if number > 3:
        raise ConfigError(f"'{spec}': there are three official splits, 1, 2 and 3")
    return number


@dataclass(frozen=True)
class Report:
    """All that `check` found, one line each; nothing else keeps a data set from being used.

    Attributes:
        name, root: as in the inventory.
        counts: per key the number found and the official one.
        differences: counts that are not the official ones.
        missing: files that the lists name and the disk does not hold.
        broken: files that are empty, cannot be read, or hold fewer frames than the lists say.
        unlisted: files on the disk that no list names.
        mistakes: wrong labels, malformed and repeated lines.
        overlaps: files and groups in more than one split.
        notices: what is odd and has a defined meaning; it is still whole and official.
        unread: files were looked at, and not read to their ends: some may still be broken.
    """

    name: str
    root: Path
    counts: Mapping[str, tuple[int, int]]
    differences: tuple[str, ...]
    missing: tuple[str, ...]
    broken: tuple[str, ...]
    unlisted: tuple[str, ...]
    mistakes: tuple[str, ...]
    overlaps: tuple[str, ...]
    notices: tuple[str, ...] = ()
    unread: bool = False

    @property
    def faults(self) -> tuple[str, ...]:
        """What must be mended before the data can be loaded."""
        return (*self.missing, *self.broken, *self.mistakes, *self.overlaps)

    @property
    def ok(self) -> bool:
        """Whether everything is there, whole, consistent and official."""
        return not (self.differences or self.unlisted or self.faults)

    def __str__(self) -> str:
        width = max(map(len, self.counts), default=0)
        lines = [f"{self.name} in '{self.root}'", f"  {'':{width}}  {'found':>7} {'official':>9}"]
        lines += [f"  {key:{width}}  {n:7d} {o:9d}" for key, (n, o) in self.counts.items()]
        titles = ("differences", "missing", "broken", "unlisted", "mistakes", "overlaps", "notices")
        for title in titles:
            found: tuple[str, ...] = getattr(self, title)
            if found:
                lines += [f"{title} ({len(found)}):", *(f"  - {line}" for line in found)]
        if self.ok:
            lines.append("no faults")
        if self.unread:
            lines.append("what is in the files was not read: add --decode")
        return "\n".join(lines)


def check(
    inventory: Inventory, *, decode: bool = False, progress: Progress | None = None
) -> Report:
    """Compare an inventory with the official numbers and with the disk.

    Args:
        inventory: what a reader found.
        decode: also read every listed file to its end; without, only an empty one is broken.
        progress: called with (files read, files in all) while decoding.
    """
    counts = {key: (inventory.counts[key], inventory.official[key]) for key in inventory.official}
    listed = {item.path for item in inventory.items} | inventory.unused
    return Report(
        name=inventory.name,
        root=inventory.root,
        counts=counts,
        differences=tuple(_differences(inventory, counts)),
        missing=tuple(
            f"'{path}' is listed and not there" for path in sorted(listed - inventory.files)
        ),
        broken=tuple(_broken(inventory, sorted(listed & inventory.files), decode, progress)),
        unlisted=tuple(
            f"'{path}' is there and in no list" for path in sorted(inventory.files - listed)
        ),
        mistakes=inventory.faults or tuple(_empty(inventory.items)),
        overlaps=tuple(_overlaps(inventory.items)),
        unread=not decode,
    )


def _differences(inventory: Inventory, counts: Mapping[str, tuple[int, int]]) -> Iterable[str]:
    for key, (found, official) in counts.items():
        if found != official:
            absent = inventory.absent.get(key)
            which = f"; there is no {', '.join(absent)}" if absent else ""
            yield f"{key}: {found}, officially {official}{which}"


def _broken(
    inventory: Inventory, paths: Sequence[str], decode: bool, progress: Progress | None
) -> Iterable[str]:
    ends = dict.fromkeys(paths, 0)
    for item in inventory.items:
        if item.frames and item.path in ends:
            ends[item.path] = max(ends[item.path], item.frames[1])
    for done, (path, end) in enumerate(ends.items(), start=1):
        yield from _faults_of(inventory, path, end, decode)
        if decode and progress is not None:
            progress(done, len(ends))


def _faults_of(inventory: Inventory, path: str, end: int, decode: bool) -> Iterable[str]:
    """What is wrong with a video, an image or a folder of frames, of which the lists name `end`."""
    full, folder = inventory.root / path, inventory.kind == "frames"
    try:
        files = frame_files(full, inventory.pattern) if folder else [full]
    except DataError as error:
        yield str(error)
        return
    count = len(files) if folder else end
    for file in files:
        try:
            if not file.stat().st_size:
                yield f"{file} is empty"
            elif decode and inventory.kind == "video":
                count = sum(1 for _ in read_frames(file))
            elif decode:
                read_picture(file)
        except OSError as error:  # as a link to what is not there
            yield f"{file} cannot be read: {error.strerror}"
        except (DataError, VideoError) as error:
            yield str(error)
    if end > count:
        yield f"'{path}' has {count} frames, but the lists name frames up to {end}"


def _overlaps(items: Sequence[Item]) -> Iterable[str]:
    paths: defaultdict[str, set[SplitName]] = defaultdict(set)
    groups: defaultdict[str, set[SplitName]] = defaultdict(set)
    for item in items:
        if item.split is not None:
            paths[item.path].add(item.split)
    for path in sorted(paths):
        if len(paths[path]) > 1:
            yield f"'{path}' is in {_names(paths[path])}"
    for item in items:
        # A file in two splits was named above, and would bring its whole group here.
        if item.group is not None and len(paths[item.path]) == 1:
            groups[item.group] |= paths[item.path]
    for group in sorted(groups):
        if len(groups[group]) > 1:
            yield f"group '{group}' is in {_names(groups[group])}"


def _empty(items: Sequence[Item]) -> Iterator[str]:
    """The splits without which nothing can be trained or tested; val is held out where it lacks."""
    there = {item.split for item in items}
    if not items:
        yield "nothing is named that could be used"
    elif None not in there:
        for split in ("train", "test"):
            if split not in there:
                yield f"split '{split}' has no clips"


def _names(splits: Iterable[SplitName]) -> str:
    return " and in ".join(sorted(splits, key=SPLITS.index))


def frame_files(folder: Path, pattern: str = "*") -> list[Path]:
    """The frames in a folder, by the number at the end of their names.

    Raises:
        DataError: there is none, or their numbers leave gaps or repeat.
    """
    files = [file for file in folder.glob(pattern) if file.suffix.lower() in IMAGE_SUFFIXES]
    numbered = sorted(
        (int(match[1]), file) for file in files if (match := re.search(r"(\d+)$", file.stem))
    )
    if not numbered:
        raise DataError(f"'{folder}' holds no frames, which are called '{pattern}' with a number")
    gaps = [
        f"frame {after} follows frame {before}"
        for (before, _), (after, _) in itertools.pairwise(numbered)
        if after != before + 1
    ]
    if gaps:
        more = f" and {len(gaps) - 5} more gaps" if len(gaps) > 5 else ""
        raise DataError(f"'{folder}': {', '.join(gaps[:5])}{more}")
    return [file for _, file in numbered]
