"""Frames with boxes around who does what: spatial action detection (Ren18 3.1, 5.1).

`ActionFrames` is the one interface: frames are read, decoded or drawn one at a time, when they are
asked for, so that any number of them needs no more memory than one. A data set's own module
registers how its folder becomes `ActionFrames`; `load_action_frames` finds it by name.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from unseen.data.clips import SPLITS, SplitName
from unseen.data.decode import Progress
from unseen.data.pictures import read_picture
from unseen.data.video import read_frames
from unseen.errors import ConfigError, DataError, Faults
from unseen.files import read_json, write_json, written_whole
from unseen.registry import Registry, Spec

SCHEMA = "unseen/action-frames/1"
INDEX_FILE = "frames.json"
_KEYFRAMES = "keyframes"


@dataclass(frozen=True)
class ActionFrame:
    """One annotated frame.

    Attributes:
        path: an image, or a video, relative to the root.
        number: which frame of the video, counted from 0; None where `path` is an image.
        video: what the frame is from; the frames of one video belong into one split.
        split: as published.
        boxes: `(x0, y0, x1, y1)` as parts of the frame's width and height, in [0, 1].
        labels: the action in each box, a position in `ActionFrames.classes`.
    """

    path: str
    number: int | None
    video: str
    split: SplitName
    boxes: Float[np.ndarray, "actions 4"]
    labels: Int[np.ndarray, " actions"]


@dataclass(frozen=True)
class ActionPicture:
    """A frame that was read.

    Attributes:
        image: RGB; frames of one data set may be of different sizes.
        boxes: around each action, `(x0, y0, x1, y1)` in pixels.
        labels: the action in each box, a position in `ActionFrames.classes`.
        faces: face boxes in pixels; None where they are not known
            (`unseen.faces.actions.FacesFound` looks for them).
    """

    image: UInt8[np.ndarray, "height width 3"]
    boxes: Float[np.ndarray, "actions 4"]
    labels: Int[np.ndarray, " actions"]
    faces: Float[np.ndarray, "faces 4"] | None = None


class ActionFrames(ABC):
    """Annotated frames of a data set, or of a split of it, read one at a time.

    Attributes:
        name: of the data set, with its option.
        classes: names of the actions.
    """

    name: str
    classes: tuple[str, ...]

    @abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abstractmethod
    def __getitem__(self, index: int) -> ActionPicture:
        """Read a frame; the same each time.

        Raises:
            DataError: it is missing or damaged.
        """

    @abstractmethod
    def of_split(self, split: SplitName) -> "ActionFrames":
        """The frames of one split."""

    @abstractmethod
    def video_of(self, index: int) -> str:
        """What a frame is from; the frames of one video are alike, and in one split."""


@dataclass(frozen=True)
class AnnotatedFrames(ActionFrames):
    """Frames in files.

    Attributes:
        name: of the data set, with its option.
        root: its folder.
        classes: names of the actions.
        frames: in order, those of a video in a row.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    frames: tuple[ActionFrame, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def video_of(self, index: int) -> str:
        """The video of a frame."""
        return self.frames[index].video

    def of_split(self, split: SplitName) -> "AnnotatedFrames":
        """The frames of one split."""
        return replace(self, frames=tuple(f for f in self.frames if f.split == split))

    def __getitem__(self, index: int) -> ActionPicture:
        """Read a frame that is an image; those inside videos are read in a row, by `files`.

        Raises:
            DataError: it is missing or damaged, or inside a video.
        """
        frame = self.frames[index]
        if frame.number is not None:
            raise DataError(
                f"frame {frame.number} of '{self.root / frame.path}' is inside a video: extract "
                f"the frames once, with `unseen data keyframes {self.name} {self.root} -o FRAMES`, "
                "and name the folder FRAMES instead"
            )
        return _picture(frame, read_picture(self.root / frame.path))

    def files(self) -> Iterator[Iterator[tuple[int, ActionPicture]]]:
        """The same file by file, so that one may fail, by itself."""
        inside: defaultdict[str, dict[int, int]] = defaultdict(dict)
        for index, frame in enumerate(self.frames):
            if frame.number is None:
                yield ((i, self[i]) for i in (index,))
            else:
                inside[frame.path][frame.number] = index
        for path, wanted in inside.items():
            yield self._within(path, wanted)

    def _within(self, path: str, wanted: Mapping[int, int]) -> Iterator[tuple[int, ActionPicture]]:
        """Frames of one video, by their numbers in it."""
        last, count = max(wanted), 0
        for number, decoded in enumerate(read_frames(self.root / path)):
            count = number + 1
            if number in wanted:
                index = wanted[number]
                yield index, _picture(self.frames[index], decoded.image)
            if number == last:
                break
        if count <= last:
            raise DataError(
                f"'{self.root / path}' has {count} frames, but frame {last} is annotated"
            )


def _picture(frame: ActionFrame, image: UInt8[np.ndarray, "height width 3"]) -> ActionPicture:
    height, width = image.shape[:2]
    scale = np.array([width, height, width, height], np.float32)
    return ActionPicture(image, frame.boxes * scale, frame.labels)


def extract_frames(
    data: ActionFrames, folder: Path, *, progress: Progress | None = None
) -> AnnotatedFrames:
    """Write every annotated frame as an image, and `frames.json`, which says what is in them.

    Training can then read frames in any order. `load_action_frames` reads the folder back, as
    `keyframes` or under the name of the data set.

    Args:
        data: annotated frames.
        folder: where to; `<split>/<video>/<number>.png`. It holds raw frames of real people.
        progress: called with (frames written, frames in all).

    Returns:
        The same frames, as images in the folder.

    Raises:
        DataError: the frames are drawn and not read; or naming every file that is missing or
            damaged: the frames of all others are written, but not the list of them.
    """
    if not isinstance(data, AnnotatedFrames):
        raise DataError(f"'{data.name}' is drawn when it is needed: there is nothing to extract")
    written, done, faults = list(data.frames), 0, Faults()
    for file in data.files():
        with faults.collected():
            for index, picture in file:
                frame = data.frames[index]
                number = Path(frame.path).stem if frame.number is None else f"{frame.number:06d}"
                path = f"{frame.split}/{Path(frame.video).stem}/{number}.png"
                with written_whole(folder / path) as temporary:
                    Image.fromarray(picture.image).save(temporary)
                written[index] = replace(frame, path=path, number=None)
                done += 1
                if progress is not None:
                    progress(done, len(data))
    faults.refuse(f"not every frame of {data.name} could be read, and so {folder} is no data set:")
    rows = [
        {
            "path": frame.path,
            "video": frame.video,
            "split": frame.split,
            "boxes": frame.boxes.tolist(),
            "labels": frame.labels.tolist(),
        }
        for frame in written
    ]
    index_of = {"schema": SCHEMA, "name": data.name, "classes": data.classes, "frames": rows}
    write_json(folder / INDEX_FILE, index_of)
    return replace(data, root=folder, frames=tuple(written))


# A data set by its specification, its folder (if one was named), and the side in pixels of frames
# that are drawn.
Loader: TypeAlias = Callable[[Spec, Path | None, int], ActionFrames]
ACTION_FRAMES: Registry[Loader] = Registry("action detection set")
DRAWN: set[str] = set()
"""Those of them that need no folder, as they are drawn."""


def in_folder(load: Callable[[Path, Spec], ActionFrames]) -> Loader:
    """A loader that needs a folder, which may also be what `extract_frames` made of the data set.

    Args:
        load: reads the folder that the data set is distributed as.
    """

    def loader(spec: Spec, root: Path | None, side: int) -> ActionFrames:
        if root is None:
            raise ConfigError(
                f"the action frames of '{spec}' are in a folder: name it (--actions-root DIR of "
                "`unseen train`, --root DIR of `unseen evaluate-actions`)"
            )
        if spec.name == _KEYFRAMES or not (root / INDEX_FILE).exists():
            return load(root, spec)
        frames = _keyframes(root, Spec(_KEYFRAMES))
        if frames.name not in (str(spec), f"{spec}:1"):
            raise DataError(f"'{root}' holds frames of '{frames.name}', not of '{spec}'")
        return frames

    return loader


def refuse_unread_folder(name: str | None, root: Path | str | None) -> None:
    """Raise `ConfigError` where a folder was named that a data set would not be read from.

    Args:
        name: of the data set; None: there is none.
        root: the folder, if one was named.
    """
    if root is None or (name is not None and Spec.parse(name).name not in DRAWN):
        return
    why = "no data set is named for it" if name is None else f"the frames of '{name}' are drawn"
    raise ConfigError(
        f"the folder '{root}' is not read, as {why}; name one, or leave the folder out"
    )


def load_action_frames(name: str, root: Path | None = None, *, side: int = 128) -> ActionFrames:
    """Annotated frames of a data set, all splits.

    Args:
        name: `jhmdb[:SPLIT]`, `daly`, `keyframes` for what `extract_frames` wrote, or generated:
            `duet[:CLIPS]`, `duet-faces[:FRAMES]`; those are known whose modules were imported.
        root: the folder of a data set that has one; also one with frames extracted from it.
        side: height and width in pixels of frames that are generated.

    Raises:
        UnknownNameError: no such data set.
        ConfigError: the data set is read from a folder, and none was named.
        DataError: naming every fault.
    """
    spec = Spec.parse(name)
    return ACTION_FRAMES[spec.name](spec, root, side)


def _keyframes(root: Path, spec: Spec) -> AnnotatedFrames:
    spec.no_option()
    path = root / INDEX_FILE
    try:
        index = read_json(path)
        if index["schema"] != SCHEMA:
            raise ValueError(f"its schema is {index['schema']!r}, not '{SCHEMA}'")
        name, classes = str(index["name"]), tuple(map(str, index["classes"]))
        faults: list[str] = []
        frames: list[ActionFrame] = []
        for row in index["frames"]:
            boxes = np.array(row["boxes"], np.float32).reshape(-1, 4)
            labels = np.array(row["labels"], np.int64)
            wrong = list(_faults(root / row["path"], row["split"], boxes, labels, len(classes)))
            faults += [f"'{row['path']}': {fault}" for fault in wrong]
            if not wrong:
                frames.append(
                    ActionFrame(row["path"], None, str(row["video"]), row["split"], boxes, labels)
                )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is not what `unseen data keyframes` writes: {error}") from error
    if faults:
        raise DataError(f"'{path}' cannot be used: {len(faults)} faults", faults)
    return AnnotatedFrames(name, root, classes, tuple(frames))


def _faults(
    path: Path,
    split: str,
    boxes: Float[np.ndarray, "boxes 4"],
    labels: Int[np.ndarray, " labels"],
    classes: int,
) -> Iterator[str]:
    """What is wrong with a row of the index."""
    if split not in SPLITS:
        yield f"'{split}' is no split"
    if len(boxes) != len(labels):
        yield f"{len(boxes)} boxes, {len(labels)} labels"
    elif not ((labels >= 0) & (labels < classes)).all():
        yield f"labels must be from 0 to {classes - 1}"
    if not real_boxes(boxes).all():
        yield "a box is not (x0, y0, x1, y1) in [0, 1] with x0 < x1 and y0 < y1"
    if not path.is_file():
        yield "is not there"


def real_boxes(boxes: Float[np.ndarray, "actions 4"]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which boxes, as parts of width and height, have any area, and lie inside."""
    x0, y0, x1, y1 = boxes.T
    inside = (boxes >= 0).all(1) & (boxes <= 1).all(1)
    real: np.ndarray[Any, np.dtype[np.bool_]] = inside & (x0 < x1) & (y0 < y1)
    return real


ACTION_FRAMES.add(_KEYFRAMES, in_folder(_keyframes))


def mask_boxes(
    masks: UInt8[np.ndarray, "height width time"],
) -> Float[np.ndarray, "time 4"]:
    """The tightest box around each mask, as parts of width and height; NaN where it is empty.

    Args:
        masks: not 0 where the actor is.
    """
    height, width, time = masks.shape
    boxes = np.full((time, 4), np.nan, np.float32)
    for at in range(time):
        rows = np.flatnonzero(masks[:, :, at].any(1))
        columns = np.flatnonzero(masks[:, :, at].any(0))
        if len(rows):
            boxes[at] = (
                columns[0] / width,
                rows[0] / height,
                (columns[-1] + 1) / width,
                (rows[-1] + 1) / height,
            )
    return boxes
