import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from unseen.data.load import count_labels
from unseen.data.official import Item, check, read_official
from unseen.data.official_clips import with_validation
from unseen.data.ucf101 import ACTIONS, COUNTS, read_ucf101
from unseen.data.video import write_video
from unseen.errors import DataError


def name(action: str, group: int, clip: int) -> str:
    return f"{action}/v_{action}_g{group:02}_c{clip:02}.avi"


def write_lists(root: Path, split: int, test_group: int) -> None:
    folder = root / "ucfTrainTestlist"
    folder.mkdir(exist_ok=True)
    (folder / "classInd.txt").write_text("3 Archery\r\n11 Biking\r\n")
    names = [
        (number, group, name(action, group, clip))
        for action, number in (("Archery", 3), ("Biking", 11))
        for group in range(1, 6)
        for clip in (1, 2)
    ]
    train = [f"{path} {number}\r\n" for number, group, path in names if group != test_group]
    test = [f"{path}\r\n" for _, group, path in names if group == test_group]
    (folder / f"trainlist0{split}.txt").write_text("".join(train))
    (folder / f"testlist0{split}.txt").write_text("".join(test))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = np.zeros((3, 16, 16, 3), np.uint8)
    write_video(tmp_path / "video.mp4", images, Fraction(10), "lossless")
    video = (tmp_path / "video.mp4").read_bytes()
    (tmp_path / "video.mp4").unlink()
    for action in ("Archery", "Biking"):
        for group in range(1, 6):
            for clip in (1, 2):
                path = tmp_path / "UCF-101" / name(action, group, clip)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(video)
    write_lists(tmp_path, 1, test_group=1)
    write_lists(tmp_path, 2, test_group=2)
    return tmp_path


def edit(root: Path, list_name: str, old: str, new: str) -> None:
    path = root / "ucfTrainTestlist" / list_name
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


def mistakes(root: Path) -> list[str]:
    report = check(read_ucf101(root))
    assert report.faults == report.mistakes
    return list(report.mistakes)


def test_the_official_numbers() -> None:
    assert len(set(ACTIONS)) == 101
    assert list(ACTIONS) == sorted(ACTIONS, key=str.lower)
    assert [sum(counts.values()) for counts in COUNTS.values()] == [13320] * 3


@pytest.mark.parametrize("split", [1, 2])
def test_a_tree_in_the_official_layout(root: Path, split: int) -> None:
    inventory = read_official(f"ucf101:{split}", root)
    assert inventory.items[0] == Item(
        f"UCF-101/Archery/v_Archery_g0{3 - split}_c01.avi",
        "train",
        {"action": "Archery"},
        group=f"Archery_g0{3 - split}",
    )
    tested = [item.group for item in inventory.items if item.split == "test"]
    assert tested == [f"{action}_g0{split}" for action in ("Archery", "Biking") for _ in range(2)]
    report = check(inventory, decode=True)
    assert not report.faults
    assert not report.unlisted
    assert report.counts == {
        "videos": (20, 13320),
        "classes": (2, 101),
        "groups": (10, 2525),
        "train": (16, COUNTS[split]["train"]),
        "test": (4, COUNTS[split]["test"]),
    }
    assert "; there is no ApplyEyeMakeup, ApplyLipstick, BabyCrawling, " in report.differences[1]


def test_labels_are_counted_by_split(root: Path) -> None:
    counts = count_labels("ucf101:2", root)
    assert counts.items == {"train": 16, "test": 4}
    each = {"train": 8, "test": 2}
    assert counts.labels == {"action": {"Archery": each, "Biking": each}}
    assert str(counts).splitlines() == [
        "                 train    test",
        "ucf101:2            16       4",
        "action Archery       8       2",
        "action Biking        8       2",
    ]


def test_class_folders_may_stand_in_the_root(root: Path) -> None:
    for action in ("Archery", "Biking"):
        (root / "UCF-101" / action).rename(root / action)
    (root / "UCF-101").rmdir()
    report = check(read_ucf101(root))
    assert not report.faults
    assert report.counts["videos"] == (20, 13320)


def test_validation_takes_whole_groups_of_train(root: Path) -> None:
    inventory = read_ucf101(root)
    items = with_validation(inventory.items, 0)
    parts: dict[str | None, set[str | None]] = {}
    for item in items:
        parts.setdefault(item.split, set()).add(item.group)
    assert {str(group)[:-4] for group in parts["val"]} == {"Archery", "Biking"}
    assert len(parts["val"]) == 2
    assert len(parts["train"]) == 6
    assert parts["test"] == {"Archery_g01", "Biking_g01"}


def test_missing_unlisted_and_truncated_videos(root: Path) -> None:
    videos = root / "UCF-101"
    (videos / name("Archery", 2, 1)).unlink()
    (videos / name("Biking", 1, 1)).rename(videos / name("Biking", 1, 7))
    cut = videos / name("Biking", 3, 2)
    cut.write_bytes(cut.read_bytes()[:-200])
    report = check(read_ucf101(root), decode=True)
    assert report.missing == (
        f"'UCF-101/{name('Archery', 2, 1)}' is listed and not there",
        f"'UCF-101/{name('Biking', 1, 1)}' is listed and not there",
    )
    assert report.unlisted == (f"'UCF-101/{name('Biking', 1, 7)}' is there and in no list",)
    assert len(report.broken) == 1
    assert report.broken[0].startswith(str(cut))
    assert not report.mistakes
    assert not report.overlaps


def test_a_file_in_train_and_test(root: Path) -> None:
    edit(root, "testlist01.txt", name("Archery", 1, 1), name("Archery", 2, 1))
    report = check(read_ucf101(root))
    assert report.overlaps == (f"'UCF-101/{name('Archery', 2, 1)}' is in train and in test",)
    assert report.unlisted == (f"'UCF-101/{name('Archery', 1, 1)}' is there and in no list",)


def test_a_group_in_train_and_test(root: Path) -> None:
    line = f"{name('Biking', 1, 2)}\r\n"
    edit(root, "testlist01.txt", line, "")
    edit(root, "trainlist01.txt", "Archery", f"{line.strip()} 11\r\nArchery")
    report = check(read_ucf101(root))
    assert report.faults == ("group 'Biking_g01' is in train and in test",)


def test_capitals_alone_do_not_make_another_video(root: Path) -> None:
    videos = root / "UCF-101" / "Archery"
    videos.joinpath("v_Archery_g02_c01.avi").rename(videos / "v_ArcherY_g02_c01.avi")
    report = check(read_ucf101(root))
    assert not report.faults
    assert not report.unlisted
    edit(root, "trainlist01.txt", "v_Archery_g03_c01", "v_ArcherY_g03_c01")
    assert not mistakes(root)


@pytest.mark.parametrize(
    ("list_name", "old", "new", "fault"),
    [
        (
            "trainlist01.txt",
            "g02_c01.avi 3",
            "g02_c01.avi 4",
            "trainlist01.txt, line 1: class 4, but Archery is class 3",
        ),
        (
            "trainlist01.txt",
            "Archery/v_Archery_g02_c02.avi 3",
            "Archery/v_Archery_g02_c01.avi 3",
            "trainlist01.txt, line 2 repeats line 1: 'Archery/v_Archery_g02_c01.avi 3'",
        ),
        (
            "trainlist01.txt",
            "Archery/v_Archery_g02_c02.avi 3",
            "Archery/v_ArcherY_g02_c01.avi 3",
            "trainlist01.txt, line 2 repeats line 1: 'Archery/v_ArcherY_g02_c01.avi 3'",
        ),
        (
            "trainlist01.txt",
            "g02_c01.avi 3",
            "g02_c01.avi",
            "trainlist01.txt, line 1: 'Archery/v_Archery_g02_c01.avi' is not of the form "
            "'<Action>/<video>.avi <class number>'",
        ),
        (
            "testlist01.txt",
            "Archery/v_Archery_g01_c02.avi",
            "v_Archery_g01_c02",
            "testlist01.txt, line 2: 'v_Archery_g01_c02' is not of the form '<Action>/<video>.avi'",
        ),
        (
            "trainlist01.txt",
            "g02_c01.avi 3",
            "g02_c01.avi " + "9" * 5000,  # more digits than Python makes a number of
            f"trainlist01.txt, line 1: 'Archery/v_Archery_g02_c01.avi {'9' * 5000}' is not of the "
            "form '<Action>/<video>.avi <class number>'",
        ),
        (
            "classInd.txt",
            "11 Biking",
            "Biking 11\r\n11 Biking",
            "classInd.txt, line 2: 'Biking 11' is not of the form '<number> <Action>'",
        ),
        (
            "classInd.txt",
            "11 Biking",
            "11 Biking\r\n11 Billiards",
            "classInd.txt, line 3: '11 Billiards' repeats a class or a number",
        ),
        (
            "classInd.txt",
            "11 Biking",
            "11 Biking\r\n12 Biliards",
            "classInd.txt, line 3: 'Biliards' is no action of UCF101 (did you mean 'Billiards'?)",
        ),
    ],
)
def test_mistakes_in_the_lists(root: Path, list_name: str, old: str, new: str, fault: str) -> None:
    edit(root, list_name, old, new)
    report = check(read_ucf101(root))
    assert report.mistakes == (fault,)
    assert not report.missing
    assert not report.overlaps


def test_wrong_classes(root: Path) -> None:
    videos = root / "UCF-101"
    (videos / "Bikes").mkdir()
    (videos / "Biking/v_Biking_g01_c01.avi").rename(videos / "Bikes/v_Biking_g01_c01.avi")
    edit(root, "testlist01.txt", "Biking/v_Biking_g01_c01", "Bikes/v_Biking_g01_c01")
    (videos / "Biking/v_Biking_g01_c02.avi").rename(videos / "Archery/v_Biking_g01_c02.avi")
    edit(root, "testlist01.txt", "Biking/v_Biking_g01_c02", "Archery/v_Biking_g01_c02")
    assert mistakes(root) == [
        "testlist01.txt, line 3: 'Bikes' is no class of classInd.txt (did you mean 'Biking'?)",
        "testlist01.txt, line 3: 'v_Biking_g01_c01.avi' is no video of Bikes, by its name",
        "testlist01.txt, line 4: 'v_Biking_g01_c02.avi' is no video of Archery, by its name",
    ]


def test_a_root_without_the_lists_of_the_split(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*classInd.txt") as caught:
        read_ucf101(tmp_path / "none")
    assert len(str(caught.value).splitlines()) == 1
    lists = root / "ucfTrainTestlist"
    assert check(read_ucf101(root, split=3)).mistakes == (
        f"there is no '{lists / 'trainlist03.txt'}'",
        f"there is no '{lists / 'testlist03.txt'}'",
    )
    # What else is wrong is told beside it.
    (lists / "testlist01.txt").unlink()
    (lists / "classInd.txt").unlink()
    (root / "UCF-101" / name("Archery", 2, 1)).unlink()
    edit(root, "trainlist01.txt", name("Biking", 2, 1), "Biking/v_Biking_g2.avi")
    report = check(read_ucf101(root))
    assert report.missing == (f"'UCF-101/{name('Archery', 2, 1)}' is listed and not there",)
    absent, line, last = report.mistakes
    assert absent == f"there is no '{lists / 'classInd.txt'}'"
    assert "'Biking/v_Biking_g2.avi 11' is not of the form" in line
    assert last == f"there is no '{lists / 'testlist01.txt'}'"
    shutil.rmtree(lists)
    with pytest.raises(DataError) as caught:
        read_ucf101(root)
    assert caught.value.faults == (
        f"there is no '{lists}': classInd.txt, and trainlist01.txt and testlist01.txt of split 1",
    )
