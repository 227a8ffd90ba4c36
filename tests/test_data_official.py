from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unseen.data.official import (
    OFFICIAL,
    Inventory,
    Item,
    check,
    expect,
    frame_files,
    read_lines,
    read_official,
    split_number,
)
from unseen.data.video import write_video
from unseen.errors import ConfigError, DataError, UnknownNameError
from unseen.registry import Spec


def save_video(path: Path, frames: int = 4) -> None:
    """A real video under the name that a data set gives it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (frames, 16, 16, 3), np.uint8)
    write_video(path.with_suffix(".mp4"), images, Fraction(10), "lossless")
    path.with_suffix(".mp4").rename(path)


def save_image(path: Path, seed: int = 0, size: tuple[int, int] = (12, 16)) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(image).save(path)
    return image


def videos(root: Path, *items: Item, **changes: object) -> Inventory:
    found = frozenset(p.relative_to(root).as_posix() for p in root.rglob("*.avi"))
    plain = Inventory("mini", root, "video", items, found, {"videos": len(found)}, {"videos": 3})
    return replace(plain, **changes)  # type: ignore[arg-type]


LABELS = {"action": "wave"}


@pytest.fixture
def three(tmp_path: Path) -> Path:
    save_video(tmp_path / "a.avi")
    for name in ("b", "c"):
        (tmp_path / f"{name}.avi").write_bytes((tmp_path / "a.avi").read_bytes())
    return tmp_path


THREE = (
    Item("a.avi", "train", LABELS, group="g1"),
    Item("b.avi", "val", LABELS, (0, 4), group="g2"),
    Item("c.avi", "test", LABELS, group="g3"),
)


def test_a_whole_data_set_has_no_faults(three: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = check(
        videos(three, *THREE), decode=True, progress=lambda done, total: seen.append((done, total))
    )
    assert report.ok
    assert not report.faults
    assert report.counts == {"videos": (3, 3)}
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert str(report).splitlines() == [
        f"mini in '{three}'",
        "            found  official",
        "  videos        3         3",
        "no faults",
    ]


@pytest.mark.parametrize(
    ("items", "fault"),
    [((), "nothing is named that could be used"), (THREE[:2], "split 'test' has no clips"),
     (THREE[1:], "split 'train' has no clips")],
)  # fmt: skip
def test_what_could_not_be_used_is_a_fault(
    three: Path, items: tuple[Item, ...], fault: str
) -> None:
    assert check(videos(three, *items)).faults == (fault,)


def test_one_report_holds_everything(three: Path) -> None:
    whole = (three / "b.avi").read_bytes()
    (three / "b.avi").write_bytes(whole[: len(whole) // 2])
    (three / "extra.avi").write_bytes(whole)
    items = (
        *THREE,
        Item("none.avi", "test", LABELS),
        Item("c.avi", "train", LABELS, group="g3"),
        Item("extra/d.avi", "test", LABELS, group="g1"),
    )
    inventory = videos(
        three,
        *items,
        faults=("list.txt, line 3: 'wav' is no action",),
        unused=frozenset({"unused.avi"}),
        counts={"videos": 4, "classes": 1},
        official={"videos": 4, "classes": 3},
        absent={"classes": ("clap", "walk"), "videos": ()},
    )
    report = check(inventory, decode=True)
    assert not report.ok
    assert report.differences == ("classes: 1, officially 3; there is no clap, walk",)
    assert report.missing == (
        "'extra/d.avi' is listed and not there",
        "'none.avi' is listed and not there",
        "'unused.avi' is listed and not there",
    )
    assert report.unlisted == ("'extra.avi' is there and in no list",)
    assert report.mistakes == ("list.txt, line 3: 'wav' is no action",)
    assert report.overlaps == (
        "'c.avi' is in train and in test",
        "group 'g1' is in train and in test",
    )
    assert len(report.broken) == 1
    assert report.broken[0].startswith(f"{three / 'b.avi'} cannot be read as a video")
    assert report.faults == (
        *report.missing,
        *report.broken,
        *report.mistakes,
        *report.overlaps,
    )
    text = str(report)
    for line in (*report.differences, *report.unlisted, *report.faults):
        assert f"  - {line}" in text.splitlines()
    assert "missing (3):" in text
    assert "no faults" not in text


def test_only_decoding_finds_broken_and_short_videos(three: Path) -> None:
    (three / "c.avi").write_bytes(b"no video")
    inventory = videos(three, replace(THREE[0], frames=(1, 5)), THREE[1], THREE[2])
    assert check(inventory).ok
    assert str(check(inventory)).endswith(
        "no faults\nwhat is in the files was not read: add --decode"
    )
    seen: list[int] = []
    report = check(inventory, decode=True, progress=lambda done, total: seen.append(done))
    short, broken = report.broken
    assert seen == [1, 2, 3]
    assert short == "'a.avi' has 4 frames, but the lists name frames up to 5"
    assert broken.startswith(f"{three / 'c.avi'} cannot be read")
    (three / "c.avi").write_bytes(b"")
    for decode in (False, True):
        assert check(inventory, decode=decode).broken[-1] == f"{three / 'c.avi'} is empty"


def test_a_link_to_nothing_is_one_fault_of_the_report(three: Path) -> None:
    (three / "c.avi").unlink()
    (three / "c.avi").symlink_to(three / "gone.avi")
    for decode in (False, True):
        (fault,) = check(videos(three, *THREE), decode=decode).broken
        assert fault == f"{three / 'c.avi'} cannot be read: No such file or directory"


def test_many_gaps_are_counted(tmp_path: Path) -> None:
    for number in range(0, 30, 2):
        save_image(tmp_path / f"rgb_{number}.png")
    with pytest.raises(DataError, match=r"frame 10 follows frame 8 and 9 more gaps$"):
        frame_files(tmp_path)


def test_one_unlisted_file_is_not_official(three: Path) -> None:
    report = check(videos(three, *THREE[::2]))
    assert not report.ok
    assert report.unlisted == ("'b.avi' is there and in no list",)
    assert not report.faults


def folders(root: Path, *items: Item) -> Inventory:
    found = frozenset(p.name for p in root.iterdir())
    return Inventory("mini", root, "frames", items, found, {}, {}, pattern="rgb_*")


def test_folders_of_frames(tmp_path: Path) -> None:
    takes = {"a": (9, 10, 11), "b": (1, 2), "c": (1, 3, 6), "d": (), "e": (1, 2, 3)}
    for take, numbers in takes.items():
        (tmp_path / take).mkdir()
        for number in numbers:
            save_image(tmp_path / take / f"rgb_{number}.png")
            save_image(tmp_path / take / f"depth_{number + 7}.png")
    named = [file.name for file in frame_files(tmp_path / "a", "rgb_*")]
    assert named == ["rgb_9.png", "rgb_10.png", "rgb_11.png"]
    cut = (tmp_path / "e" / "rgb_1.png").read_bytes()
    for number in (1, 3):
        (tmp_path / "e" / f"rgb_{number}.png").write_bytes(cut[:100])
    inventory = folders(
        tmp_path,
        Item("a", None, LABELS, (0, 3)),
        Item("b", None, LABELS, (0, 3)),
        *(Item(take, None, LABELS) for take in "cde"),
    )
    expected = [
        "'b' has 2 frames, but the lists name frames up to 3",
        f"'{tmp_path / 'c'}': frame 3 follows frame 1, frame 6 follows frame 3",
        f"'{tmp_path / 'd'}' holds no frames, which are called 'rgb_*' with a number",
    ]
    assert list(check(inventory).broken) == expected
    *same, one, other = check(inventory, decode=True).broken
    assert same == expected
    assert one.startswith(f"{tmp_path / 'e' / 'rgb_1.png'} is damaged: ")
    assert other.startswith(f"{tmp_path / 'e' / 'rgb_3.png'} is damaged: ")


def test_frames_of_one_number_are_refused(tmp_path: Path) -> None:
    save_image(tmp_path / "rgb_1.png")
    save_image(tmp_path / "rgb_1.bmp")
    with pytest.raises(DataError, match="frame 1 follows frame 1"):
        frame_files(tmp_path)


def test_images(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    save_image(tmp_path / "cut.jpg", size=(64, 64))
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    names = ("a.png", "cut.jpg", "deep.png")
    items = (Item("a.png", "test", LABELS), *(Item(n, "train", LABELS) for n in names[1:]))
    inventory = Inventory("mini", tmp_path, "image", items, frozenset(names), {}, {})
    assert check(inventory).ok
    cut, deep = check(inventory, decode=True).broken
    assert cut.startswith(f"{tmp_path / 'cut.jpg'} is damaged: ")
    assert deep.startswith(f"{tmp_path / 'deep.png'} has more than 8 bits a colour")


def test_a_file_listed_once_a_range_overlaps_only_between_splits(three: Path) -> None:
    halves = [Item("a.avi", "train", LABELS, (0, 2)), Item("a.avi", "train", LABELS, (2, 4))]
    assert not check(videos(three, *halves)).overlaps
    divided = [halves[0], replace(halves[1], split="val")]
    assert check(videos(three, *divided)).overlaps == ("'a.avi' is in train and in val",)


def test_a_root_that_is_not_there_or_is_another_data_set(tmp_path: Path) -> None:
    layout = {"lists/a.txt": "the videos", "images": "the images"}
    with pytest.raises(DataError) as caught:
        expect("MINI", tmp_path / "none", layout)
    assert str(caught.value) == (
        f"there is no folder '{tmp_path / 'none'}': MINI is a folder with 'lists/a.txt' (the "
        "videos), 'images' (the images)"
    )
    with pytest.raises(DataError, match=r"none': MINI is a folder$"):
        expect("MINI", tmp_path / "none", {})
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError) as caught:
        expect("MINI", tmp_path, layout)
    assert str(caught.value) == (
        f"'{tmp_path}' is not MINI in its official layout\n"
        f"  - there is no '{tmp_path / 'lists/a.txt'}': the videos"
    )


def test_lists_are_read_with_their_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfa 1 \r\n\r\nb 2")
    faults: list[str] = []
    assert read_lines(path, faults) == [(1, "a 1"), (3, "b 2")]
    assert not faults
    path.write_bytes(b"\xff\xfe")
    assert read_lines(path, faults) == []
    assert read_lines(tmp_path / "none.txt", faults) == []
    assert [fault.split(":")[0] for fault in faults] == [
        f"'{path}' cannot be read as UTF-8 text",
        f"there is no '{tmp_path / 'none.txt'}'",
    ]


@pytest.mark.parametrize("option", ["0", "4", "1.5", "one"])
def test_there_are_three_splits(option: str) -> None:
    assert [split_number(Spec("x", number)) for number in (None, "1", "2", "3")] == [1, 1, 2, 3]
    with pytest.raises(ConfigError, match=f"x:{option}"):
        split_number(Spec("x", option))


def test_data_sets_are_read_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reader(root: Path, spec: Spec) -> Inventory:
        return replace(videos(root), name=str(spec))

    entries: dict[str, Callable[[Path, Spec], Inventory]] = {"mini": reader}
    monkeypatch.setattr(OFFICIAL, "_entries", entries)
    assert read_official("mini:2", tmp_path).name == "mini:2"
    with pytest.raises(UnknownNameError, match="did you mean 'mini'"):
        read_official("minni:2", tmp_path)
