"""DALY (Weinzaepfel 2016): 510 videos of 10 actions, boxes on keyframes (Ren18 5.1, Table 1).

Layout: `videos/<id>.mp4`, and `daly1.1.0.json` in the folder or in `annotations`. The published
annotations are a pickle, which is a program; `unseen data convert-daly` makes the JSON of it
without running it (`unseen.data.daly_pickle`): `classes`, and for each video its `split`, the
`action` that it was searched by, and `instances`, each an `action` with `keyframes`: `frame`,
counted from 0, and `box`, `(x0, y0, x1, y1)` as parts of width and height.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unseen.data.action_frames import (
    ACTION_FRAMES,
    ActionFrame,
    AnnotatedFrames,
    in_folder,
    real_boxes,
)
from unseen.data.clips import SplitName
from unseen.data.daly_pickle import SCHEMA
from unseen.data.official import (
    OFFICIAL,
    Inventory,
    Item,
    check,
    expect,
    refuse_faults,
    split_counts,
)
from unseen.errors import DataError
from unseen.files import read_json
from unseen.registry import Spec, nearest

_NAMES = """
ApplyingMakeUpOnLips BrushingTeeth CleaningFloor CleaningWindows Drinking FoldingTextile Ironing
Phoning PlayingHarmonica TakingPhotosOrVideos
"""
ACTIONS = tuple(_NAMES.split())
OFFICIAL_COUNTS = {"videos": 510, "classes": 10, "train": 310, "test": 200}
_ANNOTATIONS = "daly1.1.0"
# How far behind its edge a box may reach: the annotators' mouse left the picture.
_BEYOND = 0.05


@OFFICIAL.register("daly")
def _read(root: Path, spec: Spec) -> Inventory:
    spec.no_option()
    return read_daly(root)


def _frames(root: Path, spec: Spec) -> AnnotatedFrames:
    spec.no_option()
    return load_daly(root)


ACTION_FRAMES.add("daly", in_folder(_frames))


def read_daly(root: Path) -> Inventory:
    """What a folder with DALY holds; the label column is `action`, what a video was searched by.

    Raises:
        DataError: there are no annotations, or they were not converted.
    """
    faults: list[str] = []
    videos = _annotations(root, faults)
    files = frozenset(path.relative_to(root).as_posix() for path in root.glob("videos/*.mp4"))
    items = [
        Item(f"videos/{name}", "test" if about["split"] == "test" else "train",
             {"action": about["action"]})
        for name, about in sorted(videos.items())
    ]  # fmt: skip
    boxes(videos, faults)
    present = {about["action"] for about in videos.values()}
    counts: dict[str, int] = {
        "videos": len(files),
        "classes": len(present & {*ACTIONS}),
        **split_counts(items, "train", "test"),
    }
    return Inventory(
        name="daly",
        root=root,
        kind="video",
        items=tuple(items),
        files=files,
        counts=counts,
        official=OFFICIAL_COUNTS,
        absent={"classes": [action for action in ACTIONS if action not in present]},
        faults=tuple(faults),
    )


def load_daly(root: Path) -> AnnotatedFrames:
    """DALY's keyframes, inside their videos: `extract_frames` makes images of them.

    Raises:
        DataError: naming every fault of the annotations and every missing video.
    """
    inventory = read_daly(root)
    refuse_faults("daly", root, check(inventory).faults)
    frames = boxes(_annotations(root, []), [])
    return AnnotatedFrames("daly", root, ACTIONS, tuple(frames))


def boxes(videos: dict[str, Any], faults: list[str]) -> list[ActionFrame]:
    """The annotated frames, several actions of one frame put together; in the order of the videos.

    Args:
        videos: of the JSON.
        faults: gets a line for each box and frame that cannot be.
    """
    frames: list[ActionFrame] = []
    for name, about in sorted(videos.items()):
        found: defaultdict[int, list[tuple[npt.NDArray[np.float32], int]]] = defaultdict(list)
        for instance in about["instances"]:
            action = instance["action"]
            if action not in ACTIONS:
                faults.append(
                    f"'{name}': '{action}' is no action of DALY{nearest(action, ACTIONS)}"
                )
                continue
            for keyframe in instance["keyframes"]:
                number, box = keyframe["frame"], keyframe["box"]
                where = f"'{name}', {action}, frame {number}"
                if number < 0:
                    faults.append(f"{where}: DALY counts frames from 1, its JSON from 0")
                near = all(-_BEYOND <= part <= 1 + _BEYOND for part in box)
                clipped = np.clip(np.array(box, np.float32), 0.0, 1.0)
                if len(box) != 4 or not near or not real_boxes(clipped[None]).all():
                    faults.append(f"{where}: {box} is no box (x0, y0, x1, y1) within [0, 1]")
                    continue
                found[number].append((clipped, ACTIONS.index(action)))
        split: SplitName = "test" if about["split"] == "test" else "train"
        frames += [
            ActionFrame(
                f"videos/{name}",
                number,
                name,
                split,
                np.stack([box for box, _ in each]),
                np.array([label for _, label in each], np.int64),
            )
            for number, each in sorted(found.items())
        ]
    return frames


def _annotations(root: Path, faults: list[str]) -> dict[str, Any]:
    """The videos of the JSON file, as far as their form is right."""
    expect("DALY", root, {})
    folders = (root, root / "annotations")
    path = next((f / f"{_ANNOTATIONS}.json" for f in folders
                 if (f / f"{_ANNOTATIONS}.json").exists()), None)  # fmt: skip
    if path is None:
        pickled = next((f for f in folders if (f / f"{_ANNOTATIONS}.pkl").exists()), None)
        how = f"unseen data convert-daly {_ANNOTATIONS}.pkl {_ANNOTATIONS}.json"
        where = f"'{pickled / _ANNOTATIONS}.pkl' must be converted" if pickled else "convert it"
        raise DataError(f"'{root}' holds no '{_ANNOTATIONS}.json': {where}: {how}")
    try:
        content = read_json(path)
        if content["schema"] != SCHEMA:
            raise ValueError(f"its schema is {content['schema']!r}, not '{SCHEMA}'")
        videos = dict(content["videos"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is not what convert-daly writes: {error}") from error
    for name, about in list(videos.items()):
        if not _well_formed(about):
            faults.append(f"{path.name}: '{name}' is not what convert-daly writes")
            del videos[name]
    return videos


def _well_formed(about: Any) -> bool:
    match about:
        case {"split": "train" | "test", "action": str(), "instances": [*each]}:
            return all(_is_instance(instance) for instance in each)
        case _:
            return False


def _is_instance(instance: Any) -> bool:
    match instance:
        case {"action": str(), "keyframes": [*keyframes]}:
            return all(_is_keyframe(keyframe) for keyframe in keyframes)
        case _:
            return False


def _is_keyframe(keyframe: Any) -> bool:
    match keyframe:
        case {"frame": int(), "box": [*box]}:
            return all(isinstance(part, int | float) for part in box)
        case _:
            return False
