import os
from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from unseen.data.clips import NO_LABELS, SPLITS, ClipDataset, SplitName
from unseen.data.decode import Decoding
from unseen.data.image_clips import as_clip
from unseen.data.official import Inventory, Item
from unseen.data.official_clips import load_official, with_validation
from unseen.data.video import write_video
from unseen.errors import DataError

WHO = ("ann", "bob")
Kind = Literal["video", "frames", "image"]


def grouped() -> list[Item]:
    """Three actions with groups of one to four items in train, and a test split."""
    rng = np.random.default_rng(0)
    items = [Item(f"test-{i}", "test", {"action": "abc"[i % 3]}, group=f"t{i}") for i in range(9)]
    for action in "abc":
        for group in range(20):
            for clip in range(int(rng.integers(1, 5))):
                path = f"{action}-{group}-{clip}"
                items.append(Item(path, "train", {"action": action}, group=f"{action}-{group}"))
    return items


@pytest.mark.parametrize("seed", range(4))
def test_validation_is_a_seventh_of_train_in_whole_groups(seed: int) -> None:
    items = grouped()
    held = with_validation(items, seed)
    assert [replace(item, split=None) for item in held] == [
        replace(item, split=None) for item in items
    ]
    assert [i.split == "test" for i in held] == [i.split == "test" for i in items]
    splits = defaultdict(set)
    for item in held:
        splits[item.group].add(item.split)
    assert all(len(split) == 1 for split in splits.values())
    before = Counter(item.labels["action"] for item in items if item.split == "train")
    val = Counter(item.labels["action"] for item in held if item.split == "val")
    for action, count in before.items():
        assert abs(val[action] - 0.15 * count) < 1
    assert held == with_validation(items, seed)
    assert held != with_validation(items, seed + 1)


def test_validation_leaves_some_of_train_and_what_is_published() -> None:
    pair = [Item(name, "train", {"action": "a"}) for name in ("1", "2")]
    assert Counter(item.split for item in with_validation(pair, 0)) == {"train": 1, "val": 1}
    assert with_validation(pair[:1], 0) == pair[:1]
    published = [*pair, Item("3", "val", {"action": "a"})]
    assert with_validation(published, 0) == published
    undrawn = [Item(name, None, {"action": "a"}) for name in ("1", "2")]
    assert with_validation(undrawn, 0) == undrawn


def frames_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (4, 16, 16, 3), np.uint8)


def inventory(root: Path, kind: Kind, splits: tuple[SplitName | None, ...] = SPLITS) -> Inventory:
    """Twelve clips of the kind, two actions by two people in each split."""
    items = []
    for number in range(12):
        name = f"{number:02}"
        images = frames_of(number)
        if kind == "video":
            name += ".mp4"
            write_video(root / name, images, Fraction(10), "lossless")
        elif kind == "image":
            name += ".png"
            Image.fromarray(images[0]).save(root / name)
        else:
            (root / name).mkdir()
            for i, image in enumerate(images, start=1):
                Image.fromarray(image).save(root / name / f"rgb_{i}.png")
        labels = {"action": ("clap", "wave")[number % 2], "who": WHO[number // 2 % 2]}
        yes = {"hat": str(number % 2), "bag": str(number // 2 % 2)}
        items.append(Item(name, splits[number // 4], {**labels, **yes}))
    files = frozenset(path.name for path in root.iterdir())
    return Inventory(
        "mini",
        root,
        kind,
        tuple(items),
        files,
        {"videos": 12},
        {"videos": 99},
        pattern="rgb_*" if kind == "frames" else "*",
        fps=20.0,
    )


def load(found: Inventory, private: tuple[str, ...] = ("who",), frames: int = 4) -> ClipDataset:
    return load_official(found, Decoding(16, frames), target="action", private=private, seed=0)


@pytest.mark.parametrize("kind", ["video", "frames"])
def test_clips_and_labels_are_those_of_the_lists(tmp_path: Path, kind: Kind) -> None:
    data = load(inventory(tmp_path, kind))
    assert (data.name, data.synthetic) == ("mini", False)
    assert data.target.classes == ("clap", "wave")
    assert data.private.classes == WHO
    assert data.fps == (10.0 if kind == "video" else 20.0)
    for part, name in enumerate(SPLITS):
        split = data.split(name)
        expected = [frames_of(number) for number in range(4 * part, 4 * part + 4)]
        np.testing.assert_array_equal(split.clips, np.stack(expected))
        assert split.target.tolist() == [0, 1, 0, 1]
        assert split.private.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("kind", ["video", "frames"])
def test_listed_frames_are_spread_over_the_clip(tmp_path: Path, kind: Kind) -> None:
    found = inventory(tmp_path, kind)
    items = tuple(replace(item, frames=(1, 3)) for item in found.items)
    data = load(replace(found, items=items))
    np.testing.assert_array_equal(data.train.clips[0], frames_of(0)[[1, 1, 2, 2]])
    assert data.fps == (20.0 if kind == "video" else 40.0)


@pytest.mark.parametrize("frames", [1, 3])
def test_an_image_is_a_clip_of_one_frame(tmp_path: Path, frames: int) -> None:
    data = load(inventory(tmp_path, "image"), private=("hat", "bag"), frames=frames)
    assert data.private.classes == ("hat", "bag")
    assert data.private.multi_label
    assert data.test.clips.shape == (4, frames, 16, 16, 3)
    for i in range(4):
        for frame in range(frames):
            np.testing.assert_array_equal(data.test.clips[i, frame], frames_of(8 + i)[0])
    np.testing.assert_array_equal(data.test.private, [[0, 0], [1, 0], [0, 1], [1, 1]])
    assert data.fps == 20.0


def test_validation_is_held_out_where_there_is_none(tmp_path: Path) -> None:
    found = inventory(tmp_path, "image", ("train", "train", "test"))
    data = load(found)
    assert [len(data.split(name)) for name in SPLITS] == [6, 2, 4]
    assert sorted(data.val.target.tolist()) == [0, 1]
    assert load(found).hash == data.hash


def test_a_split_is_drawn_where_none_is_published(tmp_path: Path) -> None:
    found = inventory(tmp_path, "image", (None, None, None))
    data = load(found, private=("action",))
    assert sum(len(data.split(name)) for name in SPLITS) == 12
    for name in SPLITS:
        assert len(data.split(name)) > 0
        np.testing.assert_array_equal(data.split(name).target, data.split(name).private)
    other = load_official(found, Decoding(16, 4), target="action", private=["action"], seed=1)
    assert other.hash != data.hash


def test_all_faults_are_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    found = inventory(tmp_path, "video")
    extra = replace(found, files=found.files | {"extra.mp4"})
    assert len(load(extra).train) == 4
    broken = replace(
        found, files=found.files - {"03.mp4"}, faults=("list.txt, line 3: no such action",)
    )
    with pytest.raises(DataError) as caught:
        load_official(broken, Decoding(16, 4), target="actoin", private=["who", "who"], seed=0)
    assert str(caught.value) == (
        f"mini in '{tmp_path}' has 4 faults; nothing was loaded\n"
        "  - '03.mp4' is listed and not there\n"
        "  - list.txt, line 3: no such action\n"
        "  - no label column 'actoin' (did you mean 'action'?); there are: action, who, hat, bag\n"
        "  - choose one or more different private columns, not ['who', 'who']"
    )
    with pytest.raises(DataError, match=r"no label column 'action'; there are: none"):
        load(replace(found, items=()))


def test_labels_and_files_at_fault(tmp_path: Path) -> None:
    found = inventory(tmp_path, "video")
    items = [
        *found.items[:11],
        replace(found.items[11], labels={**found.items[11].labels, "who": "cy"}),
    ]
    with pytest.raises(DataError) as caught:
        load(replace(found, items=tuple(items)))
    assert caught.value.faults == (
        "'cy' in column 'who' has only this one clip",
        "'cy' in column 'who' occurs in 'test' and never in 'train'",
    )
    (tmp_path / "01.mp4").write_bytes(b"no video")
    (tmp_path / "02.mp4").write_bytes(b"neither")
    with pytest.raises(DataError) as caught:
        load(found)
    assert [fault.split(".mp4")[0][-2:] for fault in caught.value.faults] == ["01", "02"]
    (tmp_path / "02.mp4").write_bytes(b"")
    with pytest.raises(DataError) as caught:  # before hours of reading
        load(found)
    assert caught.value.faults == (f"{tmp_path / '02.mp4'} is empty",)


@pytest.mark.parametrize("kind", ["frames", "image"])
def test_images_at_fault(tmp_path: Path, kind: Kind) -> None:
    found = inventory(tmp_path, kind)
    names = ["01.png", "07.png"]
    if kind == "frames":  # all of a take are told, each once
        names = ["01/rgb_1.png", "01/rgb_2.png", "07/rgb_2.png"]
    bad = [tmp_path / name for name in names]
    for path in bad:
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError) as caught:
        load(found)
    assert [fault.split(" is damaged")[0] for fault in caught.value.faults] == [
        str(path) for path in bad
    ]


@pytest.mark.parametrize("kind", ["video", "frames", "image"])
def test_cached_clips_are_not_decoded_again(tmp_path: Path, kind: Kind) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    root.mkdir()
    found = inventory(root, kind)

    def cached(stills: Literal["repeat", "pan"] = "repeat") -> ClipDataset:
        return load_official(found, Decoding(16, 4, cache=cache), target="action", private=["who"],
                             seed=0, stills=stills)  # fmt: skip

    first = cached()
    assert first.hash == load(found).hash
    path = root / {"video": "05.mp4", "frames": "05/rgb_2.png", "image": "05.png"}[kind]
    status = path.stat()
    path.write_bytes(bytes(status.st_size))  # what no decoder takes, with the old length and time
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cached().hash == first.hash
    assert cached().fps == first.fps
    os.utime(path)  # now it is another file
    with pytest.raises(DataError, match="05"):
        cached()
    if kind == "image":
        path.write_bytes((root / "04.png").read_bytes())
        (kept,) = cache.glob("*.npy")
        assert np.load(kept).shape == (12, 1, 16, 16, 3)  # not one of each repetition
        assert cached("pan").train.clips.shape == (4, 4, 16, 16, 3)


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_drifts_evenly_through_where_it_was(seed: int) -> None:
    size, frames = 64, 9
    image = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    clip = as_clip(image, frames)
    shifts = []
    for frame in clip:
        # Every shift that could be, one by one, away from the edges.
        found = [
            (dy, dx)
            for dy in range(-5, 6)
            for dx in range(-5, 6)
            if np.array_equal(frame[8:56, 8:56], image[8 + dy : 56 + dy, 8 + dx : 56 + dx])
        ]
        assert len(found) == 1
        shifts.append(found[0])
    path = np.array(shifts)
    np.testing.assert_array_equal(path[4], [0, 0])
    np.testing.assert_array_equal(path, -path[::-1])
    assert np.hypot(*(path[-1] - path[0])) == pytest.approx(size / 8, abs=1.5)
    steps = np.diff(path, axis=0)
    assert np.ptp(steps, axis=0).max() <= 1
    np.testing.assert_array_equal(as_clip(image, 1)[0], image)


def test_pictures_of_a_data_set_drift_if_asked(tmp_path: Path) -> None:
    found = inventory(tmp_path, "image")
    still = load(found)
    moving = load_official(
        found, Decoding(16, 4), target="action", private=["who"], seed=0, stills="pan"
    )
    assert still.still
    assert not moving.still
    assert still.train.clips.strides[1] == 0  # repetitions take no memory
    for i, clip in enumerate(moving.train.clips):
        np.testing.assert_array_equal(clip, as_clip(frames_of(i)[0], 4))
        assert len({frame.tobytes() for frame in clip}) > 1


def test_labels_of_one_task_alone(tmp_path: Path) -> None:
    found = inventory(tmp_path, "image")
    kept = load_official(found, Decoding(16, 2), target="action", private=None, seed=0)
    assert kept.private == NO_LABELS
    assert kept.train.private.shape == (4, 0)
    hidden = load_official(found, Decoding(16, 2), target=None, private=["hat", "bag"], seed=0)
    assert hidden.target == NO_LABELS
    assert hidden.test.target.shape == (4, 0)
    np.testing.assert_array_equal(hidden.test.private, [[0, 0], [1, 0], [0, 1], [1, 1]])
    items = tuple(
        replace(item, labels={k: v for k, v in item.labels.items() if k not in ("who", "action")})
        for item in found.items
    )
    every = load_official(
        replace(found, items=items), Decoding(16, 2), target=None, private=["all"], seed=0
    )
    assert every.private == hidden.private
