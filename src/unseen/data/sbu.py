"""SBU Kinect Interaction (Yun 2012): 282 videos of 8 interactions by 13 actor pairs (Wu18, Wang19).

Official layout (the clean version): `sXXsYY/<interaction>/<take>/rgb_<frame>.png`, or `.bmp`, the
interactions being `01` to `08`, the takes `001` and on; depth images and skeletons beside them are
not read. A set is one pair of seven people, its first actor acting, its second reacting; sets of
the same two in either role are one actor pair (Wang19 4.1.1). The archives unpack to a folder
within a folder, `sXXsYY/sXXsYY/...`, which is read as well.

Wu18 and Wang19 did not publish which videos they trained on and tested. Later papers use lists of
188 and 94 videos, lines `path,start,end,actor,action`, frames counted from 1 and `end` included.
Their validation list is what they report on, so it is test here, and
`official_clips.with_validation` holds out a part of train. Without lists a split is drawn.
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
)
from unseen.errors import DataError
from unseen.registry import Spec

# In the order of their folders.
INTERACTIONS = (
    "approaching",
    "departing",
    "kicking",
    "pushing",
    "shaking_hands",
    "hugging",
    "exchanging",
    "punching",
)
# How many takes each interaction of a set has, from 001 on; as in the published lists.
_TAKES = """
s01s02:22221132 s01s03:22221113 s01s07:22221122 s02s01:33311121 s02s03:22220121
s02s06:22221122 s02s07:22321122 s03s02:22211122 s03s04:22221122 s03s05:12221122
s03s06:22120122 s04s02:22121122 s04s03:22221122 s04s06:22221122 s05s02:22230102
s05s03:22121112 s06s02:22121121 s06s03:22221120 s06s04:22221122 s07s01:22221122
s07s03:22221122
"""
TAKES = {
    name: tuple(map(int, counts)) for name, counts in (row.split(":") for row in _TAKES.split())
}
SETS = tuple(TAKES)


def actor_pair(folder: str) -> str:
    """The pair of a set in either role: `s02s01` and `s01s02` are both `s01s02`."""
    return "".join(sorted((folder[:3], folder[3:])))


# In the order in which the sets, sorted, bring them: the number of a pair in the published lists.
ACTOR_PAIRS = tuple(dict.fromkeys(map(actor_pair, SETS)))
OFFICIAL_TAKES = tuple(
    f"{name}/{action:02}/{take:03}"
    for name, counts in TAKES.items()
    for action, count in enumerate(counts, start=1)
    for take in range(1, count + 1)
)
OFFICIAL_COUNTS = {"videos": 282, "sets": 21, "interactions": 8, "actor_pairs": 13, "frames": 6822}
LISTED_COUNTS = {"train": 188, "test": 94}
PATTERN = "rgb_*"
_LISTS: dict[SplitName, str] = {"train": "train.txt", "test": "val.txt"}
_SET = re.compile(r"s\d+s\d+")
_TAKE = re.compile(r"(?:.*/)?(s\d\ds\d\d)/(\d\d)/(\d{1,9})/?")
_NUMBER = re.compile(r"\d{1,9}")


@OFFICIAL.register("sbu")
def _read(root: Path, spec: Spec) -> Inventory:
    return read_sbu(root, lists=None if spec.option is None else Path(spec.option))


def read_sbu(root: Path, *, lists: Path | None = None) -> Inventory:
    """What a folder with SBU holds; the label columns are `action` and `actor_pair`.

    Args:
        root: the folder with the sets.
        lists: a folder with `train.txt` and `val.txt`; None: all videos, without a split. Before
            the set a path in them may have any folders; commas or blanks are between the cells.

    Raises:
        DataError: there is no set, or there are no such lists.
    """
    expect("SBU", root, {})
    folders = sorted(p for p in root.iterdir() if p.is_dir() and _SET.fullmatch(p.name))
    if not folders:
        raise DataError(
            f"'{root}' is not SBU in its official layout: there is no set, a folder like "
            "'s01s02' with '01/001/rgb_000001.png' and so on in it"
        )
    if lists is not None:
        expect("the split of SBU", lists, dict.fromkeys(_LISTS.values(), "lines of a split"))
    faults: list[str] = []
    files: set[str] = set()
    takes: dict[tuple[str, str, str], str] = {}
    for folder in folders:
        if folder.name not in SETS:
            faults.append(f"'{folder.name}' is no set of SBU: these two did not act together")
            continue
        nested = folder / folder.name
        for action in _subfolders(nested if nested.is_dir() else folder):
            if action.name not in {f"{n:02}" for n in range(1, len(INTERACTIONS) + 1)}:
                where = action.relative_to(root).as_posix()
                faults.append(f"'{where}' is no interaction: their folders are 01 to 08")
                continue
            for take in _subfolders(action):
                path = take.relative_to(root).as_posix()
                files.add(path)
                if take.name.isdecimal():
                    takes[folder.name, action.name, take.name] = path
    if lists is None:
        items = [Item(path, None, _labels(*key[:2])) for key, path in takes.items()]
    else:
        items = _listed(lists, takes, faults)
    present = {key[0] for key in takes}
    pairs = {actor_pair(name) for name in present}
    counts: dict[str, int] = {
        "videos": len(takes),
        "sets": len(present),
        "interactions": len({key[1] for key in takes}),
        "actor_pairs": len(pairs),
        "frames": sum(len(list((root / path).glob(PATTERN))) for path in takes.values()),
        **split_counts(items, *_LISTS),
    }
    return Inventory(
        name="sbu" if lists is None else f"sbu:{lists}",
        root=root,
        kind="frames",
        items=tuple(items),
        files=frozenset(files),
        counts=counts,
        official=OFFICIAL_COUNTS if lists is None else OFFICIAL_COUNTS | LISTED_COUNTS,
        absent={
            "videos": [take for take in OFFICIAL_TAKES if tuple(take.split("/")) not in takes],
            "sets": [name for name in SETS if name not in present],
            "actor_pairs": [name for name in ACTOR_PAIRS if name not in pairs],
        },
        faults=tuple(faults),
        pattern=PATTERN,
        fps=15.0,
    )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _labels(folder: str, action: str) -> dict[str, str]:
    return {"action": INTERACTIONS[int(action) - 1], "actor_pair": actor_pair(folder)}


def _listed(lists: Path, takes: dict[tuple[str, str, str], str], faults: list[str]) -> list[Item]:
    """The videos of published lists; their numbers must be what their paths say."""
    items: list[Item] = []
    for part, name in _LISTS.items():
        seen: dict[tuple[str, str, str], int] = {}
        for line, text in read_lines(lists / name, faults):
            where = f"{name}, line {line}"
            cells = re.split(r"\s*,\s*|\s+", text)
            take = _TAKE.fullmatch(cells[0])
            if len(cells) != 5 or take is None or not all(map(_NUMBER.fullmatch, cells[1:])):
                faults.append(
                    f"{where}: '{text}' is not of the form '<set>/<interaction>/<take>,start,end,"
                    "actor,action'"
                )
                continue
            key = (take[1], take[2], take[3])
            start, end, actor, action = map(int, cells[1:])
            if key[0] not in SETS or not 1 <= int(key[1]) <= len(INTERACTIONS):
                faults.append(f"{where}: there is no interaction '{key[0]}/{key[1]}' in SBU")
                continue
            if key in seen:
                faults.append(f"{where} repeats line {seen[key]}: '{'/'.join(key)}'")
                continue
            seen[key] = line
            right = (ACTOR_PAIRS.index(actor_pair(key[0])), int(key[1]) - 1)
            if (actor, action) != right:
                faults.append(
                    f"{where}: actor {actor}, action {action}, but '{key[0]}/{key[1]}' is actor "
                    f"{right[0]}, action {right[1]}"
                )
            if not 1 <= start <= end:
                faults.append(f"{where}: frames {start} to {end} are no range from 1 on")
                continue
            path = takes.get(key, "/".join(key))
            items.append(Item(path, part, _labels(*key[:2]), frames=(start - 1, end)))
    return items
