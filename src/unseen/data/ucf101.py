"""UCF101 (Soomro 2012): 13,320 videos of 101 actions, three splits (Wu18 4.2, Wang19 4.2).

Official layout: `UCF-101/<Action>/v_<Action>_g<group>_c<clip>.avi` (the class folders may also
stand in the root itself), and `ucfTrainTestlist/` with `classInd.txt`, `trainlist0N.txt` (lines
`<Action>/<video> <class number>`) and `testlist0N.txt` (lines `<Action>/<video>`). The clips of a
group were cut from one source; official splits never divide a group. There is no validation
split: `official_clips.with_validation` holds out whole groups of train.
"""

import re
from pathlib import Path

from unseen.data.clips import SplitName
from unseen.data.official import (
    OFFICIAL,
    Inventory,
    Item,
    expect,
    read_lines,
    split_counts,
    split_number,
)
from unseen.registry import Spec, nearest

_NAMES = """
ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching BaseballPitch
Basketball BasketballDunk BenchPress Biking Billiards BlowDryHair BlowingCandles BodyWeightSquats
Bowling BoxingPunchingBag BoxingSpeedBag BreastStroke BrushingTeeth CleanAndJerk CliffDiving
CricketBowling CricketShot CuttingInKitchen Diving Drumming Fencing FieldHockeyPenalty
FloorGymnastics FrisbeeCatch FrontCrawl GolfSwing Haircut Hammering HammerThrow HandstandPushups
HandstandWalking HeadMassage HighJump HorseRace HorseRiding HulaHoop IceDancing JavelinThrow
JugglingBalls JumpingJack JumpRope Kayaking Knitting LongJump Lunges MilitaryParade Mixing
MoppingFloor Nunchucks ParallelBars PizzaTossing PlayingCello PlayingDaf PlayingDhol PlayingFlute
PlayingGuitar PlayingPiano PlayingSitar PlayingTabla PlayingViolin PoleVault PommelHorse PullUps
Punch PushUps Rafting RockClimbingIndoor RopeClimbing Rowing SalsaSpin ShavingBeard Shotput
SkateBoarding Skiing Skijet SkyDiving SoccerJuggling SoccerPenalty StillRings SumoWrestling
Surfing Swing TableTennisShot TaiChi TennisSwing ThrowDiscus TrampolineJumping Typing UnevenBars
VolleyballSpiking WalkingWithDog WallPushups WritingOnBoard YoYo
"""
ACTIONS = tuple(_NAMES.split())
COUNTS = {
    1: {"train": 9537, "test": 3783},
    2: {"train": 9586, "test": 3734},
    3: {"train": 9624, "test": 3696},
}
_LISTS = "ucfTrainTestlist"
_ROW = re.compile(r"(\w+)/(v_(\w+)_g(\d\d)_c\d\d\.avi)(?:\s+(\d{1,9}))?")


@OFFICIAL.register("ucf101")
def _read(root: Path, spec: Spec) -> Inventory:
    return read_ucf101(root, split=split_number(spec))


def read_ucf101(root: Path, *, split: int = 1) -> Inventory:
    """What a folder with UCF101 holds; the label column is `action`.

    A video whose name differs from the list's in capitals alone is taken for it: some copies
    write `HandstandPushups` where the original files have `HandStandPushups`.

    Args:
        root: the folder.
        split: the official split, 1, 2 or 3.

    Raises:
        DataError: there are no such lists.
    """
    names: dict[SplitName, str] = {
        "train": f"trainlist0{split}.txt",
        "test": f"testlist0{split}.txt",
    }
    files_of = " and ".join(names.values())
    expect("UCF101", root, {_LISTS: f"classInd.txt, and {files_of} of split {split}"})
    videos = "UCF-101/" if (root / "UCF-101").is_dir() else ""
    files = frozenset(path.relative_to(root).as_posix() for path in (root / videos).glob("*/*.avi"))
    spelled = {path.lower(): path for path in files}
    faults: list[str] = []
    classes = root / _LISTS / "classInd.txt"
    numbers = _class_numbers(classes, faults)
    items: list[Item] = []
    for part, name in names.items():
        seen: dict[str, int] = {}
        for line, text in read_lines(root / _LISTS / name, faults):
            where = f"{name}, line {line}"
            row = _ROW.fullmatch(text)
            if row is None or (part == "train" and row[5] is None):
                form = "<Action>/<video>.avi" + (" <class number>" if part == "train" else "")
                faults.append(f"{where}: '{text}' is not of the form '{form}'")
                continue
            action, video, named, group, number = row.groups()
            listed = f"{videos}{action}/{video}"
            if action not in numbers and classes.exists():  # or else every line would be wrong
                hint = nearest(action, numbers)
                faults.append(f"{where}: '{action}' is no class of classInd.txt{hint}")
            elif number is not None and int(number) != numbers.get(action, int(number)):
                faults.append(f"{where}: class {number}, but {action} is class {numbers[action]}")
            if named.lower() != action.lower():
                faults.append(f"{where}: '{video}' is no video of {action}, by its name")
            path = listed if listed in files else spelled.get(listed.lower(), listed)
            if path in seen:
                faults.append(f"{where} repeats line {seen[path]}: '{text}'")
                continue
            seen[path] = line
            items.append(Item(path, part, {"action": action}, group=f"{action}_g{group}"))
    counts: dict[str, int] = {
        "videos": len(files),
        "classes": len(numbers),
        "groups": len({item.group for item in items}),
        **split_counts(items, *names),
    }
    return Inventory(
        name=f"ucf101:{split}",
        root=root,
        kind="video",
        items=tuple(items),
        files=files,
        counts=counts,
        official={"videos": 13320, "classes": 101, "groups": 2525, **COUNTS[split]},
        absent={"classes": [action for action in ACTIONS if action not in numbers]},
        faults=tuple(faults),
    )


def _class_numbers(path: Path, faults: list[str]) -> dict[str, int]:
    """The classes of `classInd.txt`, lines `<number> <Action>`."""
    numbers: dict[str, int] = {}
    for line, text in read_lines(path, faults):
        where = f"{path.name}, line {line}"
        row = re.fullmatch(r"(\d{1,9})\s+(\w+)", text)
        if row is None:
            faults.append(f"{where}: '{text}' is not of the form '<number> <Action>'")
            continue
        number, action = int(row[1]), row[2]
        if action not in ACTIONS:
            faults.append(f"{where}: '{action}' is no action of UCF101{nearest(action, ACTIONS)}")
        if action in numbers or number in numbers.values():
            faults.append(f"{where}: '{text}' repeats a class or a number")
            continue
        numbers[action] = number
    return numbers
