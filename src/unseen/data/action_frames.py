"""Frames with boxes around who does what: spatial action detection (Ren18 3.1, 5.1)."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from unseen.data.clips import SplitName
from unseen.data.decode import Progress
from unseen.data.official import read_image
from unseen.data.video import read_frames
from unseen.errors import DataError
from unseen.files import write_json, written_whole
from unseen.registry import Registry, Spec

SCHEMA = "unseen/action-frames/1"
INDEX_FILE = "frames.json"


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
    """A frame that was read: RGB, its boxes in pixels, and their actions."""

    image: UInt8[np.ndarray, "height width 3"]
    boxes: Float[np.ndarray, "actions 4"]
    labels: Int[np.ndarray, " actions"]


@dataclass(frozen=True)
class ActionFrames:
    """All annotated frames of a data set.

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

    def of_split(self, split: SplitName) -> "ActionFrames":
        """The frames of one split."""
        return replace(self, frames=tuple(f for f in self.frames if f.split == split))

    def __getitem__(self, index: int) -> ActionPicture:
        """Read a frame that is an image; those inside videos are read in a row, by `pictures`.

        Raises:
            DataError: it is missing or damaged, or inside a video.
        """
        frame = self.frames[index]
        if frame.number is not None:
            raise DataError(
                f"frame {frame.number} of '{frame.path}' is inside a video: extract the frames "
                "first (unseen data keyframes)"
            )
        return _picture(frame, read_image(self.root / frame.path))

    def pictures(self) -> Iterator[tuple[int, ActionPicture]]:
        """Every frame with its position, each video decoded once; in the order of the videos.

        Raises:
            DataError: an image is missing or damaged, or a video ends before an annotated frame.
            VideoError: a video is missing or damaged.
        """
        inside: defaultdict[str, dict[int, int]] = defaultdict(dict)
        for index, frame in enumerate(self.frames):
            if frame.number is None:
                yield index, self[index]
            else:
                inside[frame.path][frame.number] = index
        for path, wanted in inside.items():
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
) -> ActionFrames:
    """Write every annotated frame as an image, and `frames.json`, which says what is in them.

    Training can then read frames in any order. `load_action_frames("keyframes", folder)` reads
    the folder back.

    Args:
        data: annotated frames.
        folder: where to; `<split>/<video>/<number>.png`. It holds raw frames of real people.
        progress: called with (frames written, frames in all).

    Returns:
        The same frames, as images in the folder.
    """
    written = list(data.frames)
    for done, (index, picture) in enumerate(data.pictures(), start=1):
        frame = data.frames[index]
        number = Path(frame.path).stem if frame.number is None else f"{frame.number:06d}"
        path = f"{frame.split}/{Path(frame.video).stem}/{number}.png"
        with written_whole(folder / path) as temporary:
            Image.fromarray(picture.image).save(temporary)
        written[index] = replace(frame, path=path, number=None)
        if progress is not None:
            progress(done, len(data))
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


ACTION_FRAMES: Registry[Callable[[Path, Spec], ActionFrames]] = Registry("action detection set")


def load_action_frames(name: str, root: Path) -> ActionFrames:
    """Annotated frames of a data set in a folder.

    Args:
        name: `jhmdb[:SPLIT]`, `daly`, or `keyframes` for what `extract_frames` wrote; those are
            known whose modules were imported.
        root: its folder.

    Raises:
        UnknownNameError: no such data set.
        DataError: naming every fault.
    """
    spec = Spec.parse(name)
    return ACTION_FRAMES[spec.name](root, spec)


@ACTION_FRAMES.register("keyframes")
def _keyframes(root: Path, spec: Spec) -> ActionFrames:
    spec.no_option()
    path = root / INDEX_FILE
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["schema"] != SCHEMA:
            raise ValueError(f"its schema is {index['schema']!r}, not '{SCHEMA}'")
        frames = tuple(
            ActionFrame(
                str(row["path"]),
                None,
                str(row["video"]),
                row["split"],
                np.array(row["boxes"], np.float32).reshape(-1, 4),
                np.array(row["labels"], np.int64),
            )
            for row in index["frames"]
        )
        return ActionFrames(str(index["name"]), root, tuple(index["classes"]), frames)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is not what `unseen data keyframes` writes: {error}") from error


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
