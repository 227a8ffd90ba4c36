from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unseen.data.official import Item, check, read_official
from unseen.data.official_clips import with_validation
from unseen.data.sbu import (
    ACTOR_PAIRS,
    INTERACTIONS,
    OFFICIAL_COUNTS,
    OFFICIAL_TAKES,
    SETS,
    actor_pair,
    read_sbu,
)
from unseen.errors import DataError

TAKES = ("s01s02/01/001", "s01s02/01/002", "s02s01/06/001", "s02s01/08/001", "s07s03/03/001")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five takes of three frames; the set `s07s03` as its archive unpacks."""
    for take in TAKES:
        folder = tmp_path / "sbu" / ("s07s03/" + take if take.startswith("s07") else take)
        folder.mkdir(parents=True)
        for number in (1, 2, 3):
            image = Image.fromarray(np.full((6, 8, 3), 60 * number, np.uint8))
            image.save(folder / f"rgb_{number:06}.{'bmp' if '/08/' in take else 'png'}")
            image.save(folder / f"depth_{number:06}.png")
        (folder / "skeleton_pos.txt").touch()
    return tmp_path / "sbu"


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "train.txt").write_text(
        "SBU/s01s02/s01s02/01/001,1,3,0,0\n"
        "s02s01/06/001 1 2 0 5\n"
        "/any/where/s07s03/03/001, 2, 3, 12, 2\n"
    )
    (folder / "val.txt").write_text("SBU/s01s02/s01s02/01/002,1,3,0,0\nx/s02s01/08/001,1,3,0,7\n")
    return folder


def test_every_set_is_one_of_thirteen_pairs_in_either_role() -> None:
    assert len(set(SETS)) == OFFICIAL_COUNTS["sets"] == 21
    assert len(INTERACTIONS) == OFFICIAL_COUNTS["interactions"] == 8
    assert len(ACTOR_PAIRS) == OFFICIAL_COUNTS["actor_pairs"] == 13
    assert {frozenset((name[:3], name[3:])) for name in SETS} == {
        frozenset((pair[:3], pair[3:])) for pair in ACTOR_PAIRS
    }
    assert len(OFFICIAL_TAKES) == OFFICIAL_COUNTS["videos"]
    assert actor_pair("s02s01") == actor_pair("s01s02") == "s01s02"
    # Numbers that the published lists give to sets.
    numbers = {"s03s06": 8, "s01s07": 2, "s06s02": 4, "s05s03": 7, "s04s06": 10, "s05s02": 11}
    assert {name: ACTOR_PAIRS.index(actor_pair(name)) for name in numbers} == numbers


def test_a_tree_without_lists_has_no_split(root: Path) -> None:
    inventory = read_official("sbu", root)
    assert inventory.items == (
        Item("s01s02/01/001", None, {"action": "approaching", "actor_pair": "s01s02"}),
        Item("s01s02/01/002", None, {"action": "approaching", "actor_pair": "s01s02"}),
        Item("s02s01/06/001", None, {"action": "hugging", "actor_pair": "s01s02"}),
        Item("s02s01/08/001", None, {"action": "punching", "actor_pair": "s01s02"}),
        Item("s07s03/s07s03/03/001", None, {"action": "kicking", "actor_pair": "s03s07"}),
    )
    report = check(inventory, decode=True)
    assert not report.faults
    assert not report.unlisted
    assert report.counts == {
        "videos": (5, 282),
        "sets": (3, 21),
        "interactions": (4, 8),
        "actor_pairs": (2, 13),
        "frames": (15, 6822),
    }
    videos = report.differences[0].partition("; there is no ")
    assert videos[0] == "videos: 5, officially 282"
    absent = videos[2].split(", ")
    assert (len(absent), absent[:3]) == (277, ["s01s02/02/001", "s01s02/02/002", "s01s02/03/001"])
    assert "s01s02/07/003" in absent
    assert "s07s03/03/001" not in absent
    assert report.differences[3] == (
        "actor_pairs: 2, officially 13; there is no s01s03, s01s07, s02s03, s02s06, s02s07, "
        "s03s04, s03s05, s03s06, s02s04, s04s06, s02s05"
    )


def test_the_published_lists(root: Path, lists: Path) -> None:
    inventory = read_official(f"sbu:{lists}", root)
    assert [(item.path, item.split, item.frames) for item in inventory.items] == [
        ("s01s02/01/001", "train", (0, 3)),
        ("s02s01/06/001", "train", (0, 2)),
        ("s07s03/s07s03/03/001", "train", (1, 3)),
        ("s01s02/01/002", "test", (0, 3)),
        ("s02s01/08/001", "test", (0, 3)),
    ]
    report = check(inventory, decode=True)
    assert not report.faults
    assert report.counts["train"] == (3, 188)
    assert report.counts["test"] == (2, 94)


def test_validation_is_held_out_of_train_by_action_and_then_by_pair(tmp_path: Path) -> None:
    items = [
        Item(f"{pair}/{action}/{take}", "train", {"action": action, "actor_pair": pair})
        for pair in ACTOR_PAIRS
        for action in INTERACTIONS
        for take in ("1", "2")
    ]
    for seed in range(5):
        held = [item for item in with_validation(items, seed) if item.split == "val"]
        assert Counter(item.labels["action"] for item in held) == dict.fromkeys(INTERACTIONS, 4)
        by_pair = Counter(item.labels["actor_pair"] for item in held)
        assert set(by_pair) == set(ACTOR_PAIRS)
        assert set(by_pair.values()) <= {2, 3}


def test_missing_and_unlisted_takes_and_frames(root: Path, lists: Path) -> None:
    (root / "s01s02/01/002").rename(root / "s01s02/01/003")
    (root / "s02s01/06/001/rgb_000002.png").unlink()
    (root / "s02s01/08/001/rgb_000003.bmp").unlink()
    cut = root / "s07s03/s07s03/03/001/rgb_000002.png"
    cut.write_bytes(cut.read_bytes()[:40])
    report = check(read_sbu(root, lists=lists), decode=True)
    assert report.missing == ("'s01s02/01/002' is listed and not there",)
    assert report.unlisted == ("'s01s02/01/003' is there and in no list",)
    gap, short, broken = report.broken
    assert gap == f"'{root / 's02s01/06/001'}': frame 3 follows frame 1"
    assert short == "'s02s01/08/001' has 2 frames, but the lists name frames up to 3"
    assert broken.startswith(f"{cut} is no picture, or a damaged one")
    assert not report.mistakes


def test_a_take_without_frames_is_broken(root: Path) -> None:
    (root / "s01s02/02/001").mkdir(parents=True)
    (root / "s01s02/02/001/depth_000001.png").touch()
    folder = root / "s01s02/02/001"
    assert check(read_sbu(root)).faults == (
        f"'{folder}' holds no frames, which are called 'rgb_*' with a number",
    )


def test_wrong_sets_and_interactions(root: Path) -> None:
    (root / "s01s04/01/001").mkdir(parents=True)
    (root / "s01s02/09/001").mkdir(parents=True)
    (root / "s01s02/.cache").mkdir()
    (root / "s01s02/01/copy of 001").mkdir()
    (root / "notes").mkdir()
    report = check(read_sbu(root))
    assert report.unlisted == ("'s01s02/01/copy of 001' is there and in no list",)
    assert report.faults == (
        "'s01s02/09' is no interaction: their folders are 01 to 08",
        "'s01s04' is no set of SBU: these two did not act together",
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("s01s02/01/001,1,3,0,0", "train.txt, line 4 repeats line 1: 's01s02/01/001'"),
        (
            "s01s02/01/001,1,3,0",
            "train.txt, line 4: 's01s02/01/001,1,3,0' is not of the form "
            "'<set>/<interaction>/<take>,start,end,actor,action'",
        ),
        (
            f"s01s02/01/001,1,{'9' * 5000},0,0",  # more digits than Python makes a number of
            f"train.txt, line 4: 's01s02/01/001,1,{'9' * 5000},0,0' is not of the form "
            "'<set>/<interaction>/<take>,start,end,actor,action'",
        ),
        (
            "s1s2/01/001,1,3,0,0",
            "train.txt, line 4: 's1s2/01/001,1,3,0,0' is not of the form "
            "'<set>/<interaction>/<take>,start,end,actor,action'",
        ),
        ("s01s04/01/001,1,3,0,0", "train.txt, line 4: there is no interaction 's01s04/01' in SBU"),
        ("s01s02/09/001,1,3,0,8", "train.txt, line 4: there is no interaction 's01s02/09' in SBU"),
        ("s01s02/01/003,0,3,0,0", "train.txt, line 4: frames 0 to 3 are no range from 1 on"),
        ("s01s02/01/003,3,2,0,0", "train.txt, line 4: frames 3 to 2 are no range from 1 on"),
        (
            "s01s02/01/003,1,3,1,4",
            "train.txt, line 4: actor 1, action 4, but 's01s02/01' is actor 0, action 0",
        ),
        ("s01s02/01/002,1,3,0,0", "'s01s02/01/002' is in train and in test"),
    ],
)
def test_mistakes_in_the_lists(root: Path, lists: Path, line: str, fault: str) -> None:
    (lists / "train.txt").write_text((lists / "train.txt").read_text() + line + "\n")
    report = check(read_sbu(root, lists=lists))
    assert (*report.mistakes, *report.overlaps) == (fault,)


def test_a_root_without_sets_and_lists_that_are_not_there(root: Path, lists: Path) -> None:
    with pytest.raises(DataError, match=r"there is no set, a folder like 's01s02'"):
        read_sbu(lists)
    with pytest.raises(DataError, match=r"there is no folder .*SBU is a folder$"):
        read_sbu(root / "none")
    (lists / "val.txt").unlink()
    with pytest.raises(DataError) as caught:
        read_sbu(root, lists=lists)
    assert caught.value.faults == (f"there is no '{lists / 'val.txt'}': lines of a split",)
