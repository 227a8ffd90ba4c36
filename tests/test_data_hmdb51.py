from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from unseen.data.hmdb51 import ACTIONS, OFFICIAL_COUNTS, read_hmdb51
from unseen.data.official import Item, check, read_official
from unseen.data.official_clips import with_validation
from unseen.data.video import write_video
from unseen.errors import DataError

LISTS = "testTrainMulti_7030_splits"


def name(action: str, source: str, clip: int) -> str:
    return f"{source}_{action}_u_cm_np1_fr_goo_{clip}.avi"


def list_of(root: Path, action: str, split: int = 1) -> Path:
    return root / LISTS / f"{action}_test_split{split}.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two actions, six sources each with two clips: four in train, one in test, one unused."""
    images = np.zeros((3, 16, 16, 3), np.uint8)
    write_video(tmp_path / "video.mp4", images, Fraction(10), "lossless")
    video = (tmp_path / "video.mp4").read_bytes()
    (tmp_path / "video.mp4").unlink()
    (tmp_path / LISTS).mkdir()
    for action in ("climb", "climb_stairs"):
        (tmp_path / action).mkdir()
        for split in (1, 2):
            lines = [
                f"{name(action, f'(Film_{source})!', clip)} {number} \n"
                for source, number in enumerate("111120" if split == 1 else "021111")
                for clip in (0, 1)
            ]
            list_of(tmp_path, action, split).write_text("".join(lines))
        for source in range(6):
            for clip in (0, 1):
                (tmp_path / action / name(action, f"(Film_{source})!", clip)).write_bytes(video)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_official_numbers() -> None:
    assert len(set(ACTIONS)) == OFFICIAL_COUNTS["classes"] == 51
    assert list(ACTIONS) == sorted(ACTIONS)
    assert OFFICIAL_COUNTS["train"] == 51 * 70
    assert OFFICIAL_COUNTS["test"] == 51 * 30
    parts = [OFFICIAL_COUNTS[key] for key in ("train", "test", "unused")]
    assert sum(parts) == OFFICIAL_COUNTS["videos"]


@pytest.mark.parametrize("folder", ["", "hmdb51_org"])
def test_a_tree_in_the_official_layout(root: Path, folder: str) -> None:
    if folder:
        (root / folder).mkdir()
        for action in ("climb", "climb_stairs"):
            (root / action).rename(root / folder / action)
    inventory = read_official("hmdb51", root)
    first = f"climb/{name('climb', '(Film_0)!', 0)}"
    assert inventory.items[0] == Item(
        f"{folder}/{first}" if folder else first,
        "train",
        {"action": "climb"},
        group="climb/(Film_0)!",
    )
    assert {item.group for item in inventory.items if item.split == "test"} == {
        "climb/(Film_4)!",
        "climb_stairs/(Film_4)!",
    }
    report = check(inventory, decode=True)
    assert not report.faults
    assert not report.unlisted
    assert {key: found for key, (found, _) in report.counts.items()} == {
        "videos": 24,
        "classes": 2,
        "train": 16,
        "test": 4,
        "unused": 4,
    }


def test_the_second_split(root: Path) -> None:
    items = read_official("hmdb51:2", root).items
    assert {item.group for item in items if item.split == "test"} == {
        "climb/(Film_1)!",
        "climb_stairs/(Film_1)!",
    }


def test_validation_takes_whole_sources_of_train(root: Path) -> None:
    items = with_validation(read_hmdb51(root).items, 3)
    assert Counter(item.split for item in items) == {"train": 12, "val": 4, "test": 4}
    held = Counter(item.group for item in items if item.split == "val")
    assert sorted(held.values()) == [2, 2]
    assert {str(group).split("/")[0] for group in held} == {"climb", "climb_stairs"}


def test_missing_unlisted_and_truncated_videos(root: Path) -> None:
    (root / "climb" / name("climb", "(Film_0)!", 0)).unlink()
    (root / "climb" / name("climb", "(Film_5)!", 1)).unlink()  # of no split, yet of the data set
    cut = root / "climb" / name("climb", "(Film_2)!", 0)
    (root / "climb" / name("climb", "(Film_2)!", 9)).write_bytes(cut.read_bytes())
    cut.write_bytes(cut.read_bytes()[:-200])
    report = check(read_hmdb51(root), decode=True)
    assert report.missing == (
        f"'climb/{name('climb', '(Film_0)!', 0)}' is listed and not there",
        f"'climb/{name('climb', '(Film_5)!', 1)}' is listed and not there",
    )
    assert report.unlisted == (f"'climb/{name('climb', '(Film_2)!', 9)}' is there and in no list",)
    assert len(report.broken) == 1
    assert report.broken[0].startswith(str(cut))
    assert not report.mistakes
    assert not report.overlaps


def test_a_file_and_a_source_in_train_and_test(root: Path) -> None:
    climb = list_of(root, "climb")
    climb.write_text(climb.read_text() + f"{name('climb', '(Film_0)!', 0)} 2\n")
    edit(list_of(root, "climb_stairs"), "(Film_3)!_climb_stairs_u_cm_np1_fr_goo_1.avi 1",
         "(Film_3)!_climb_stairs_u_cm_np1_fr_goo_1.avi 2")  # fmt: skip
    assert check(read_hmdb51(root)).faults == (
        f"'climb/{name('climb', '(Film_0)!', 0)}' is in train and in test",
        "group 'climb_stairs/(Film_3)!' is in train and in test",
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("a_climb_x.avi 3", "'a_climb_x.avi 3' is not of the form '<video>.avi 0|1|2'"),
        ("a_climb_x.avi", "'a_climb_x.avi' is not of the form '<video>.avi 0|1|2'"),
        (f"{name('climb', '(Film_0)!', 0)} 1",
         f"'{name('climb', '(Film_0)!', 0)}' has 1, and 1 in line 1"),
        (f"{name('climb', '(Film_0)!', 0)} 0",
         f"'{name('climb', '(Film_0)!', 0)}' has 0, and 1 in line 1"),
    ],
)  # fmt: skip
def test_mistakes_in_the_lists(root: Path, line: str, fault: str) -> None:
    climb = list_of(root, "climb")
    climb.write_text(climb.read_text() + f"\n{line}\n")
    assert check(read_hmdb51(root)).faults == (f"climb_test_split1.txt, line 14: {fault}",)


def test_wrong_actions(root: Path) -> None:
    list_of(root, "climb_stairs").rename(list_of(root, "climb_stair"))
    (root / "climb_stairs").rename(root / "climb_stair")
    edit(list_of(root, "climb"), "(Film_1)!_climb_u", "(Film_1)!_dive_u")
    videos = root / "climb"
    (videos / name("climb", "(Film_1)!", 0)).rename(videos / name("dive", "(Film_1)!", 0))
    found = check(read_hmdb51(root))
    assert found.faults[:2] == (
        "climb_test_split1.txt, line 3: '(Film_1)!_dive_u_cm_np1_fr_goo_0.avi' is no video of "
        "climb, by its name",
        "climb_stair_test_split1.txt: 'climb_stair' is no action of HMDB51 (did you mean "
        "'climb_stairs'?)",
    )
    assert all("is no video of climb_stair, by its name" in fault for fault in found.faults[2:])
    assert len(found.faults) == 2 + 12


def test_a_root_of_something_else(root: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*<action>_test_split1.txt"):
        read_hmdb51(root / "none")
    with pytest.raises(DataError, match=r"holds no list called <action>_test_split3.txt"):
        read_hmdb51(root, split=3)
    with pytest.raises(DataError) as caught:
        read_hmdb51(root / "climb")
    assert caught.value.faults == (
        f"there is no '{root / 'climb' / LISTS}': the lists <action>_test_split1.txt",
    )
