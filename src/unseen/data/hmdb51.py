"""HMDB51 (Kuehne 2011): 6,766 videos of 51 actions, three splits (Wang19 5.5).

Official layout: `<action>/<video>.avi` (or `hmdb51_org/<action>/<video>.avi`), and
`testTrainMulti_7030_splits/<action>_test_split<N>.txt` with lines `<video>.avi <n>`: 1 is train,
2 is test, 0 is in neither. Each split takes 70 videos of each action for train and 30 for test,
such that an action's clips of one source video, which share the name before the action, are never
divided; for other actions the same film may be on the other side. There is no validation split:
`official_clips.with_validation` holds out whole sources of an action of train.

With PA-HMDB51 (Wang19 5.5.1) the annotated videos are test and "the rest videos in HMDB51" train,
whatever the lists say; but see `read_hmdb51`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from unseen.data.clips import SplitName
from unseen.data.official import (
    OFFICIAL,
    Inventory,
    Item,
    action_lists,
    expect,
    read_lines,
    source_of,
    split_counts,
    split_number,
)
from unseen.registry import Spec, nearest

_NAMES = """
brush_hair cartwheel catch chew clap climb climb_stairs dive draw_sword dribble drink eat
fall_floor fencing flic_flac golf handstand hit hug jump kick kick_ball kiss laugh pick pour
pullup punch push pushup ride_bike ride_horse run shake_hands shoot_ball shoot_bow shoot_gun sit
situp smile smoke somersault stand swing_baseball sword sword_exercise talk throw turn walk wave
"""
ACTIONS = tuple(_NAMES.split())
OFFICIAL_COUNTS = {"videos": 6766, "classes": 51, "train": 3570, "test": 1530, "unused": 1666}
_LISTS = "testTrainMulti_7030_splits"
Films: TypeAlias = Literal["apart", "mixed"]
_SPLIT: dict[str, SplitName | None] = {"0": None, "1": "train", "2": "test"}


@OFFICIAL.register("hmdb51")
def _read(root: Path, spec: Spec) -> Inventory:
    return read_hmdb51(root, split=split_number(spec))


def read_hmdb51(
    root: Path,
    *,
    split: int = 1,
    annotated: Mapping[str, str] | None = None,
    films: Films = "apart",
) -> Inventory:
    """What a folder with HMDB51 holds; the label column is `action`.

    Differs from the paper, by default: of the videos that PA-HMDB51 does not annotate, those are
    left out that were cut from the film of an annotated one (2,783 of 6,251; 1,325 of them for
    another action). In train, the scene and the people of a test video would be known already;
    3,468 are left, about as many as a split trains on.

    Args:
        root: the folder.
        split: the official split, 1, 2 or 3.
        annotated: names of the videos that are test, each with its action; all others are train or
            left out. None: the split decides.
        films: `apart`: what was cut from the film of an annotated video is left out; `mixed`: it
            trains too (Wang19 5.5.1).

    Raises:
        DataError: there are no such lists.
    """
    expect("HMDB51", root, {_LISTS: f"the lists <action>_test_split{split}.txt"})
    lists = action_lists(root / _LISTS, split)
    videos = "hmdb51_org/" if (root / "hmdb51_org").is_dir() else ""
    files = frozenset(path.relative_to(root).as_posix() for path in (root / videos).glob("*/*.avi"))
    items: list[Item] = []
    unused: set[str] = set()
    faults: list[str] = []
    for action, path in lists.items():
        if action not in ACTIONS:
            hint = nearest(action, ACTIONS)
            faults.append(f"{path.name}: '{action}' is no action of HMDB51{hint}")
        seen: dict[str, tuple[int, str]] = {}
        for line, text in read_lines(path, faults):
            where = f"{path.name}, line {line}"
            row = re.fullmatch(r"(.+\.avi)\s+([012])", text)
            if row is None:
                faults.append(f"{where}: '{text}' is not of the form '<video>.avi 0|1|2'")
                continue
            video, number = row.groups()
            earlier, before = seen.setdefault(video, (line, number))
            if earlier != line and {before, number} != {"1", "2"}:
                faults.append(f"{where}: '{video}' has {number}, and {before} in line {earlier}")
                continue
            source = source_of(video, action)
            if source is None:
                faults.append(f"{where}: '{video}' is no video of {action}, by its name")
            part = _SPLIT[number]
            full = f"{videos}{action}/{video}"
            group = f"{action}/{source}" if source else None
            if part is None and annotated is None:
                unused.add(full)
            else:
                items.append(Item(full, part, {"action": action}, group=group))
    official = OFFICIAL_COUNTS
    if annotated is not None:
        items, unused = _tested_on(annotated, items, films, faults)
        official = {key: OFFICIAL_COUNTS[key] for key in ("videos", "classes")}
    counts: dict[str, int] = {
        "videos": len(files),
        "classes": len(lists),
        **split_counts(items, "train", "test"),
        "unused": len(unused),
    }
    return Inventory(
        name=f"hmdb51:{split}",
        root=root,
        kind="video",
        items=tuple(items),
        files=files,
        counts=counts,
        official=official,
        unused=frozenset(unused),
        absent={"classes": [action for action in ACTIONS if action not in lists]},
        faults=tuple(faults),
    )


def _tested_on(
    annotated: Mapping[str, str], items: list[Item], films: Films, faults: list[str]
) -> tuple[list[Item], set[str]]:
    """The items with the annotated ones as test, all others as train; and what is left out."""
    names = {item.path.rpartition("/")[2]: item for item in items}
    for video, action in annotated.items():
        if video not in names:
            faults.append(f"PA-HMDB51 annotates '{video}', which HMDB51's lists do not name")
        elif names[video].labels["action"] != action:
            where = names[video].labels["action"]
            faults.append(f"PA-HMDB51 has '{video}' as {action}, HMDB51 as {where}")
    left = {_film(names[video]) for video in annotated if video in names and films == "apart"}
    kept: list[Item] = []
    unused: set[str] = set()
    for item in items:
        if item.path.rpartition("/")[2] in annotated:
            # Of a group of its own: where films are mixed, the rest of its old one trains.
            kept.append(replace(item, split="test", group=item.group and f"test/{item.group}"))
        elif _film(item) in left:
            unused.add(item.path)
        else:
            kept.append(replace(item, split="train"))
    return kept, unused


def _film(item: Item) -> str | None:
    """What a video was cut from: its source whatever the action; None: its name does not say."""
    return item.group and _folded(item.group.partition("/")[2])


def film_of(video: str, action: str) -> str:
    """What an annotated video was cut from; itself, where its name does not say."""
    source = source_of(video, action)
    return _folded(source) if source else video


def _folded(source: str) -> str:
    """`Return_of_the_King_4` and `..._10` are of one film, as `Sit_ups` and `SIT-UPS` are."""
    return re.sub(r"[\W_]+", "", re.sub(r"_\d+$", "", source)).lower()
