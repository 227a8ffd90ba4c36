"""JHMDB (Jhuang 2013): 928 clips of 21 actions, one actor each, with masks (Ren18 5.1: split 1).

Official layout: `Rename_Images/<action>/<video>/<number>.png`, frames of 320x240 from `00001` on;
`puppet_mask/<action>/<video>/puppet_mask.mat` with `part_mask`, `(height, width, frames)`, not 0
where the actor is; `splits/<action>_test_split<N>.txt` with lines `<video>.avi <n>`: 1 is train, 2
is test. The box of a frame is the tightest one around its mask. Frames behind the end of a mask,
which a few videos have, have no box and are left out.
"""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import UInt8
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from unseen.data.action_frames import (
    ACTION_FRAMES,
    ActionFrame,
    AnnotatedFrames,
    in_folder,
    mask_boxes,
)
from unseen.data.clips import SplitName
from unseen.data.official import (
    OFFICIAL,
    Inventory,
    Item,
    action_lists,
    check,
    expect,
    frame_files,
    read_lines,
    refuse_faults,
    source_of,
    split_counts,
    split_number,
)
from unseen.errors import DataError
from unseen.registry import Spec, nearest

_NAMES = """
brush_hair catch clap climb_stairs golf jump kick_ball pick pour pullup push run shoot_ball
shoot_bow shoot_gun sit stand swing_baseball throw walk wave
"""
ACTIONS = tuple(_NAMES.split())
OFFICIAL_COUNTS = {"videos": 928, "classes": 21, "frames": 31838}
# The numbers of the other two splits are not in the publications at hand.
SPLIT_COUNTS = {1: {"train": 660, "test": 268}}
_LISTS, _IMAGES, _MASKS = "splits", "Rename_Images", "puppet_mask"
_SPLIT: dict[str, SplitName] = {"1": "train", "2": "test"}
# What SciPy raises for files that are damaged, cut off, or none of MATLAB's.
_DAMAGED = (OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, MatReadError,
            zlib.error, UnicodeError, MemoryError)  # fmt: skip


@OFFICIAL.register("jhmdb")
def _read(root: Path, spec: Spec) -> Inventory:
    return read_jhmdb(root, split=split_number(spec))


def _frames(root: Path, spec: Spec) -> AnnotatedFrames:
    return load_jhmdb(root, split=split_number(spec))


ACTION_FRAMES.add("jhmdb", in_folder(_frames))


def read_jhmdb(root: Path, *, split: int = 1) -> Inventory:
    """What a folder with JHMDB holds; the label column is `action`.

    Args:
        root: the folder.
        split: the official split, 1, 2 or 3; Ren18 uses 1.

    Raises:
        DataError: there are no such lists.
    """
    expect(
        "JHMDB", root,
        {_LISTS: f"the lists <action>_test_split{split}.txt",
         _IMAGES: "folders of frames <action>/<video>",
         _MASKS: "<action>/<video>/puppet_mask.mat"},
    )  # fmt: skip
    lists = action_lists(root / _LISTS, split)
    files = {
        path.relative_to(root).as_posix(): path
        for path in (root / _IMAGES).glob("*/*")
        if path.is_dir()
    }
    faults: list[str] = []
    items: list[Item] = []
    for action, path in lists.items():
        if action not in ACTIONS:
            hint = nearest(action, ACTIONS)
            faults.append(f"{path.name}: '{action}' is no action of JHMDB{hint}")
        items += _listed(action, path, faults)
    numbers = {name: len(list(path.glob("*.png"))) for name, path in files.items()}
    for item in items:
        if item.path in files:
            faults += _mask_faults(root, item, numbers[item.path])
    counts: dict[str, int] = {
        "videos": len(files),
        "classes": len(lists),
        "frames": sum(numbers.values()),
        **split_counts(items, "train", "test"),
    }
    return Inventory(
        name=f"jhmdb:{split}",
        root=root,
        kind="frames",
        items=tuple(items),
        files=frozenset(files),
        counts=counts,
        official=OFFICIAL_COUNTS | SPLIT_COUNTS.get(split, {}),
        absent={"classes": [action for action in ACTIONS if action not in lists]},
        faults=tuple(faults),
        pattern="*.png",
        fps=25.0,
    )


def load_jhmdb(root: Path, *, split: int = 1) -> AnnotatedFrames:
    """JHMDB's frames with the boxes of their masks.

    Raises:
        DataError: naming every fault of the lists, the frames and the masks.
    """
    inventory = read_jhmdb(root, split=split)
    faults = list(check(inventory).faults)
    refuse_faults(inventory.name, root, faults)
    frames: list[ActionFrame] = []
    for item in inventory.items:
        try:
            boxes = mask_boxes(_read_mask(_mask_path(root, item.path)))
        except DataError as error:
            faults.append(str(error))
            continue
        label = np.array([ACTIONS.index(item.labels["action"])], np.int64)
        for number, image in enumerate(frame_files(root / item.path, inventory.pattern)):
            if number < len(boxes) and np.isfinite(boxes[number]).all():
                path = image.relative_to(root).as_posix()
                split_name: SplitName = "train" if item.split == "train" else "test"
                box = boxes[number : number + 1]
                frames.append(ActionFrame(path, None, item.path, split_name, box, label))
    refuse_faults(inventory.name, root, faults)
    return AnnotatedFrames(inventory.name, root, ACTIONS, tuple(frames))


def _listed(action: str, path: Path, faults: list[str]) -> list[Item]:
    items: list[Item] = []
    seen: dict[str, int] = {}
    for line, text in read_lines(path, faults):
        where = f"{path.name}, line {line}"
        row = re.fullmatch(r"(.+)\.avi\s+([12])", text)
        if row is None:
            faults.append(f"{where}: '{text}' is not of the form '<video>.avi 1|2'")
            continue
        video, number = row.groups()
        if video in seen:
            faults.append(f"{where} repeats line {seen[video]}: '{video}'")
            continue
        seen[video] = line
        source = source_of(video, action)
        if source is None:
            faults.append(f"{where}: '{video}' is no video of {action}, by its name")
        group = f"{action}/{source}" if source else None
        items.append(
            Item(f"{_IMAGES}/{action}/{video}", _SPLIT[number], {"action": action}, group=group)
        )
    return items


def _mask_path(root: Path, video: str) -> Path:
    return root / _MASKS / Path(video).relative_to(_IMAGES) / "puppet_mask.mat"


def _mask_faults(root: Path, item: Item, frames: int) -> Sequence[str]:
    """What is wrong with a video's mask, by its header alone."""
    path = _mask_path(root, item.path)
    where = path.relative_to(root).as_posix()
    if not path.exists():
        return [f"'{where}' is not there"]
    try:
        shapes = {name: shape for name, shape, _ in whosmat(path)}
    except _DAMAGED as error:
        return [f"'{where}' cannot be read as a MATLAB file: {error}"]
    shape = shapes.get("part_mask")
    if shape is None or len(shape) not in (2, 3):
        return [f"'{where}' holds no 'part_mask' of (height, width, frames)"]
    masks = shape[2] if len(shape) == 3 else 1
    if masks > frames:
        return [f"'{where}' has {masks} masks, its video {frames} frames"]
    return []


def _read_mask(path: Path) -> UInt8[np.ndarray, "height width time"]:
    try:
        mask = np.asarray(loadmat(path, variable_names=["part_mask"])["part_mask"])
    except _DAMAGED as error:
        raise DataError(f"'{path}' cannot be read as a MATLAB file: {error}") from error
    # MATLAB drops a last dimension of one.
    stacked = mask if mask.ndim == 3 else mask[:, :, None]
    present: npt.NDArray[np.uint8] = (stacked != 0).astype(np.uint8)
    return present
