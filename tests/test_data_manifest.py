import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unseen.data.clips import SPLITS, ClipDataset, Split, SplitName, hash_splits
from unseen.data.decode import Decoding, letterbox
from unseen.data.image_clips import as_clip
from unseen.data.manifest import export_videos, load_manifest
from unseen.data.seen import clip_digests
from unseen.data.video import write_video
from unseen.errors import DataError
from unseen.types import to_clips

SIZE, FRAMES = 16, 4
HOW = Decoding(SIZE, FRAMES)


def make_frames(seed: int, count: int = 4, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def make_video(path: Path, seed: int, count: int = 4, height: int = 16, width: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, make_frames(seed, count, height, width), Fraction(10), "lossless")


def write_csv(path: Path, header: str, rows: Iterable[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def load(
    path: Path, private: Sequence[str] | None = ("who",), how: Decoding = HOW, **options: Any
) -> ClipDataset:
    return load_manifest(path, how, **{"target": "what", "private": private, "seed": 0, **options})


def faults_of(path: Path, private: Sequence[str] = ("who",), **options: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        load(path, private, **options)
    assert f"has {len(caught.value.faults)} fault" in str(caught.value)
    assert all(fault in str(caught.value) for fault in caught.value.faults)
    return list(caught.value.faults)


@pytest.fixture
def twelve(tmp_path: Path) -> Path:
    """Twelve videos, two actions by two people, each combination once a split."""
    rows = []
    for i in range(12):
        make_video(tmp_path / f"v{i}.mp4", i)
        rows.append(f"v{i}.mp4,{SPLITS[i // 4]},{'ab'[i % 2]},{'pq'[i // 2 % 2]}")
    return write_csv(tmp_path / "m.csv", "path,split,what,who", rows)


def pictures(folder: Path) -> Path:
    """The same with a picture for each video: the first frame of another one, 24 by 16."""
    rows = []
    for i in range(12):
        Image.fromarray(make_frames(i, 1, 16, 24)[0]).save(folder / f"p{i}.png")
        rows.append(f"p{i}.png,{SPLITS[i // 4]},{'ab'[i % 2]},{'pq'[i // 2 % 2]},4,2,20,16")
    return write_csv(folder / "p.csv", "path,split,what,who,x0,y0,x1,y1", rows)


def test_pictures_repeat_or_drift(tmp_path: Path) -> None:
    path = pictures(tmp_path)
    how = replace(HOW, cache=tmp_path / "cache")
    for _ in range(2):  # read, and from the cache
        still, moving = (load(path, how=how, stills=stills) for stills in ("repeat", "pan"))
        assert still.still
        assert not moving.still
        assert still.train.clips.shape == moving.train.clips.shape == (4, FRAMES, SIZE, SIZE, 3)
        for i, (repeated, drifting) in enumerate(
            zip(still.test.clips, moving.test.clips, strict=True), start=8
        ):
            part = letterbox(make_frames(i, 1, 16, 24)[0][2:16, 4:20], SIZE)
            np.testing.assert_array_equal(repeated, np.stack([part] * FRAMES))
            np.testing.assert_array_equal(drifting, as_clip(part, FRAMES))
    assert still.private.classes == ("p", "q")
    assert still.test.private.tolist() == [0, 0, 1, 1]


def test_faults_of_pictures_are_told_together(tmp_path: Path) -> None:
    path = pictures(tmp_path)
    make_video(tmp_path / "v.mp4", 0)
    lines = path.read_text().splitlines()
    (tmp_path / "p0.png").write_bytes(b"no picture")
    lines[2] = lines[2].replace("20,16", "25,16")
    path.write_text("\n".join(lines))
    assert faults_of(path) == [
        f"line 2: {tmp_path / 'p0.png'} is no picture, or a damaged one",
        f"line 3: crop box outside of '{tmp_path / 'p1.png'}', which is 24x16",
    ]
    header, *rows = lines
    mixed = [f"{row},1" for row in rows[:2]] + [f"{row}," for row in rows[2:]]
    (tmp_path / "w.mp4").write_bytes(b"no video")
    mixed += ["v.mp4,train,a,p,,,,,", "w.mp4,train,b,q,,,,,"]
    *told, video, picture, box = faults_of(write_csv(tmp_path / "m.csv", header + ",start", mixed))
    assert told == [
        "lines 2-13: pictures, while other rows name videos: give them a manifest of their own",
        "lines 2-3: a picture has one frame: leave 'start' and 'end' blank",
    ]
    assert video.startswith(f"line 15: {tmp_path / 'w.mp4'} cannot be read")
    assert picture.startswith("line 2: ")
    assert box.startswith("line 3: crop box outside")


def test_a_picture_is_told_by_its_name(tmp_path: Path) -> None:
    """As a link to a file without a suffix, in the caches of those who share data."""
    path = pictures(tmp_path)
    for i in range(12):
        (tmp_path / f"p{i}.png").rename(tmp_path / f"blob{i}")
        (tmp_path / f"p{i}.png").symlink_to(tmp_path / f"blob{i}")
    assert load(path).still


def test_a_picture_becomes_the_same_clip_wherever_it_stands(tmp_path: Path) -> None:
    """A run knows by the clips what it has seen."""
    path = pictures(tmp_path)
    header, *rows = path.read_text().splitlines()
    turned = [
        row.replace("test", "x").replace("train", "test").replace("x", "train") for row in rows
    ]
    other = write_csv(tmp_path / "o.csv", header, turned[::-1])
    one, two = (load(each, stills="pan") for each in (path, other))
    assert set(clip_digests(one.train.clips)) == set(clip_digests(two.test.clips))
    assert len(set(clip_digests(one.train.clips))) == 4


def test_videos_in_which_nothing_moves_are_known(tmp_path: Path) -> None:
    rows = []
    for i in range(12):
        frames = np.repeat(make_frames(i, 1), 4, 0)
        write_video(tmp_path / f"v{i}.mp4", frames, Fraction(10), "lossless")
        rows.append(f"v{i}.mp4,{SPLITS[i // 4]},{'ab'[i % 2]},{'pq'[i // 2 % 2]}")
    path = write_csv(tmp_path / "m.csv", "path,split,what,who", rows)
    assert load(path).still
    make_video(tmp_path / "v11.mp4", 11)
    assert not load(path).still


def test_clips_and_labels_in_the_order_of_the_manifest(twelve: Path) -> None:
    data = load(twelve)
    assert (data.name, data.synthetic, data.fps) == ("m.csv", False, 10.0)
    assert data.target.classes == ("a", "b")
    assert data.private.classes == ("p", "q")
    assert not data.private.multi_label
    for s, name in enumerate(SPLITS):
        split = data.split(name)
        expected = np.stack([make_frames(4 * s + i) for i in range(4)])
        np.testing.assert_array_equal(split.clips, expected)
        assert split.target.tolist() == [0, 1, 0, 1]
        assert split.private.tolist() == [0, 0, 1, 1]
        assert split.target.dtype == np.int64


def test_rows_may_stand_in_any_order_and_paths_may_be_absolute(twelve: Path) -> None:
    header, *rows = twelve.read_text(encoding="utf-8").splitlines()
    ahead = load(twelve)
    shuffled = [f"{twelve.parent}/{row}" for row in reversed(rows)]
    behind = load(write_csv(twelve.parent / "r.csv", header, shuffled))
    for name in SPLITS:
        np.testing.assert_array_equal(ahead.split(name).clips, behind.split(name).clips[::-1])
        np.testing.assert_array_equal(ahead.split(name).target, behind.split(name).target[::-1])


def test_a_video_is_one_however_its_path_is_spelt(twelve: Path) -> None:
    """Intervals are drawn over videos."""
    header, *rows = twelve.read_text(encoding="utf-8").splitlines()
    again = [f"./{rows[8]}", f"{twelve.parent}/{rows[9]}"]
    test = load(write_csv(twelve.parent / "again.csv", header, [*rows, *again])).test
    assert test.videos is not None
    assert len(np.unique(test.videos)) == 4
    assert (test.videos[4:] == test.videos[:2]).all()


def test_several_columns_are_one_multi_label_attribute(twelve: Path) -> None:
    bits = [(i % 2, i // 2 % 2) for i in range(12)]
    rows = [
        f"v{i}.mp4,{SPLITS[i // 4]},{'ab'[i % 2]},{hat},{coat}"
        for i, (hat, coat) in enumerate(bits)
    ]
    path = write_csv(twelve.parent / "bits.csv", "path,split,what,hat,coat", rows)
    data = load(path, ["hat", "coat"])
    assert data.private.multi_label
    assert (data.private.name, data.private.classes) == ("hat,coat", ("hat", "coat"))
    assert data.val.private.dtype == np.float32
    np.testing.assert_array_equal(data.val.private, bits[4:8])
    alone = load(path, ["coat"])
    assert not alone.private.multi_label
    assert alone.private.classes == ("0", "1")


def test_ranges_boxes_and_repeated_frames(tmp_path: Path) -> None:
    rows = ["12,20,8,4,24,20", "2,4,,,,", ",,,,,", "8,16,0,0,16,16", "1,2,,,,", "16,,,,,"]
    lines = []
    for i, row in enumerate(rows):
        make_video(tmp_path / f"v{i}.mp4", i, count=20, height=20, width=28)
        lines.append(f"v{i}.mp4,{SPLITS[i // 2]},{row},{'ab'[i % 2]},{'pq'[i % 2]}")
    header = "path,split,start,end,x0,y0,x1,y1,what,who"
    data = load(write_csv(tmp_path / "m.csv", header, lines))
    first = make_frames(0, 20, 20, 28)[[13, 15, 17, 19], 4:20, 8:24]
    np.testing.assert_array_equal(data.train.clips[0], first)
    second = [letterbox(frame, SIZE) for frame in make_frames(1, 20, 20, 28)[[2, 2, 3, 3]]]
    np.testing.assert_array_equal(data.train.clips[1], second)
    third = [letterbox(frame, SIZE) for frame in make_frames(2, 20, 20, 28)[[2, 7, 12, 17]]]
    np.testing.assert_array_equal(data.val.clips[0], third)
    last = [letterbox(frame, SIZE) for frame in make_frames(5, 20, 20, 28)[16:]]
    np.testing.assert_array_equal(data.test.clips[1], last)
    # Clips last 0.8, 0.2, 2, 0.8, 0.1, 0.4 seconds: the median of 5, 20, 2, 5, 40, 10.
    assert data.fps == pytest.approx(7.5)


def drawn_manifest(folder: Path, *, cuts: int = 1) -> Path:
    """60 videos (as hard links of one): 3 actions by 5 people, 4 times."""
    make_video(folder / "one.mp4", 0, count=4 * cuts)
    rows = []
    for i in range(60):
        (folder / f"v{i}.mp4").hardlink_to(folder / "one.mp4")
        for cut in range(cuts):
            rows.append(f"v{i}.mp4,{4 * cut},{4 * cut + 4},{'abc'[i % 3]},{'pqrst'[i // 3 % 5]}")
    return write_csv(folder / "m.csv", "path,start,end,what,who", rows)


def test_a_drawn_split_is_stratified_and_seeded(tmp_path: Path) -> None:
    path = drawn_manifest(tmp_path)
    seen = set()
    for seed in range(5):
        data = load(path, seed=seed)
        assert [len(data.split(name)) for name in SPLITS] == [42, 9, 9]
        for name, each in zip(SPLITS, (14, 3, 3), strict=True):
            counts = np.bincount(data.split(name).target, minlength=3)
            assert np.abs(counts - each).max() <= 1
        joint = Counter(zip(data.train.target.tolist(), data.train.private.tolist(), strict=True))
        assert len(joint) == 15
        assert set(joint.values()) <= {2, 3, 4}
        assert set(data.train.private.tolist()) == set(range(5))
        assert load(path, seed=seed).hash == data.hash
        seen.add(data.hash)
    assert len(seen) == 5


def test_a_split_that_was_drawn_by_some_columns_can_be_kept_for_others(tmp_path: Path) -> None:
    path = drawn_manifest(tmp_path)
    data = load(path)
    kept = load(path, ["what"], target="who", split_by=("what", ["who"]))
    other = load(path, ["what"], target="who")
    for name in SPLITS:
        np.testing.assert_array_equal(kept.split(name).private, data.split(name).target)
        np.testing.assert_array_equal(kept.split(name).target, data.split(name).private)
    assert (other.train.private != data.train.target).any()
    alone = load(path, None, split_by=("what", ["who"]))
    for name in SPLITS:
        np.testing.assert_array_equal(alone.split(name).target, data.split(name).target)
    header, *rows = path.read_text().splitlines()
    given = [f"{row},{('train', 'train', 'val', 'test')[i // 15]}" for i, row in enumerate(rows)]
    named = write_csv(tmp_path / "named.csv", f"{header},split", given)
    assert load(named, split_by=("whta", ["all"])).hash == load(named).hash  # nothing is drawn
    faults = faults_of(path, split_by=("whta", ["all"]))
    assert faults == ["no label column 'whta' to draw the split by (data.split_by)"]


def test_a_drawn_split_keeps_a_video_together(tmp_path: Path) -> None:
    path = drawn_manifest(tmp_path, cuts=3)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [len(load(path).split(name)) for name in SPLITS] == [126, 27, 27]
    # With the video as the label, each video outside of training is a fault of all its rows.
    named = [f"{r['path']},{r['start']},{r['end']},{r['what']},{r['path']}" for r in rows]
    faults = faults_of(write_csv(tmp_path / "named.csv", "path,start,end,what,who", named))
    assert len(faults) == 18
    expected = [f"lines {3 * i + 2}-{3 * i + 4}: 'v{i}.mp4' in column 'who'" for i in range(60)]
    assert all(fault.partition(" occurs in ")[0] in expected for fault in faults)
    assert all("never in 'train' (in the split that was drawn" in fault for fault in faults)


def test_a_drawn_split_gives_each_split_its_share_of_a_rare_attribute(tmp_path: Path) -> None:
    drawn_manifest(tmp_path)
    rows = [f"v{i}.mp4,{'abc'[i % 3]},{int(i in (4, 8, 33))},{i // 3 % 2}" for i in range(60)]
    data = load(write_csv(tmp_path / "rare.csv", "path,what,rare,often", rows), ["rare", "often"])
    assert [data.split(name).private[:, 0].sum() for name in SPLITS] == [1, 1, 1]


def test_every_fault_is_listed_at_once_with_its_lines(tmp_path: Path) -> None:
    for i in range(8):
        make_video(tmp_path / f"v{i}.mp4", i)
    whole = (tmp_path / "v1.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    (tmp_path / "text.mp4").write_text("not a video", encoding="utf-8")
    header = "path,split,start,end,x0,y0,x1,y1,what,who"
    rows = [
        "v0.mp4,train,,,,,,,a,p",  # line 2
        "v1.mp4,train,,,,,,,b,q",
        "v2.mp4,trian,,,,,,,a,p",
        "v3.mp4,val,3,2,,,,,a,p",
        "gone.mp4,val,,,,,,,a,p",
        "cut.mp4,val,,,,,,,a,p",
        "text.mp4,val,,,,,,,a,p",
        "",
        "v4.mp4,val,2,9,,,,,a,p",  # line 10
        "v5.mp4,val,,,0,0,17,4,a,p",
        "v6.mp4,val,,,4,0,4,4,a,p",
        "v7.mp4,val,x,,,,,,,p",
        "v0.mp4,val,1,2,,,,,c,p",
        "v0.mp4,train,1,2,3,,,,a,p",
        "gone.mp4,,,,,,,,a,p",
        f"{'o' * 300}.mp4,val,,,,,,,b",
    ]
    faults = faults_of(write_csv(tmp_path / "m.csv", header, rows), ["who", "whi"])
    text = "\n".join(faults)
    for expected in [
        "there is no label column 'whi' (did you mean 'who'?); there are: what, who",
        "line 4: 'split' is 'trian' (did you mean 'train'?); use train, val, test",
        "line 5: 'start' is not before 'end'",
        f"lines 6, 16: there is no file '{tmp_path}/gone.mp4'",
        f"line 17: there is no file '{tmp_path}/{'o' * 300}.mp4'",
        f"line 10: frames past the end of '{tmp_path}/v4.mp4', which has 4",
        f"line 11: crop box outside of '{tmp_path}/v5.mp4', which is 16x16",
        "line 12: crop box: x0 must be below x1, and y0 below y1",
        "line 13: 'start' is 'x', not a whole number of 0 or more",
        "line 13: column 'what' is blank: every clip needs a label",
        "line 14: 'c' in column 'what' has only this one clip",
        "line 14: 'c' in column 'what' occurs in 'val' and never in 'train'",
        "lines 2, 14: the same frames of 'v0.mp4' are in more than one split",
        "line 15: crop box: give all of x0, y0, x1, y1 or none",
        "line 16: column 'split' is blank here and filled elsewhere",
        "line 17: 9 cells, but the header has 10",
        "line 17: column 'who' is blank: every clip needs a label",
        "split 'test' has no clips",
        "lines 2-8, 10-16: column 'who' holds 'p', 'q': of several private columns each must be "
        "0 or 1",
    ]:
        assert expected in faults, f"{expected}\nnot in\n{text}"
    assert sum("cut.mp4" in fault and fault.startswith("line 7: ") for fault in faults) == 1
    assert sum("text.mp4" in fault and fault.startswith("line 8: ") for fault in faults) == 1
    assert len(faults) == 21, text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,what,who\n\xff,a,b\n", "is not UTF-8 text (line 2)"),
        (b'path,what,who\n"v.mp4,a,b\n', "is not CSV (line 2)"),
        (b"", "is empty"),
        (b"path,what,who\n", "the manifest has no rows"),
        (b"file,what,who\nv.mp4,a,b\n", "no column 'path'; the first line names: file, what, who"),
        (b"path,who,what,who\nv.mp4,a,b,c\n", "2 columns are called 'who'"),
        (b"path,what,x0,y1\nv.mp4,a,1,1\n", "missing: y0, x1"),
    ],
)
def test_a_file_that_is_no_manifest(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(path)
    assert message in str(caught.value)


def test_a_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the manifest"):
        load(tmp_path / "none.csv")


def test_faults_of_attributes(twelve: Path) -> None:
    rows = [
        f"v{i}.mp4,{SPLITS[i // 4]},{'ab'[i % 2]},{hat},0,{int(i in (0, 1, 5))}"
        for i, hat in enumerate(["0", "1", "0", "yes", *"01010101"])
    ]
    path = write_csv(twelve.parent / "bits.csv", "path,split,what,hat,coat,tie", rows)
    assert faults_of(path, ["hat", "coat", "tie"]) == [
        "line 5: column 'hat' holds 'yes': of several private columns each must be 0 or 1",
        "column 'coat' is '0' in every row: nothing to learn",
        "attribute 'coat' is never 1 in 'val': it has no precision there",
        "attribute 'coat' is never 1 in 'test': it has no precision there",
        "attribute 'tie' is never 1 in 'test': it has no precision there",
    ]
    rows = [f"v{i}.mp4,{SPLITS[i // 4]},{'ab'[i % 2]},{int(not 0 < i < 3)},{i % 2}"
            for i in range(12)]  # fmt: skip
    path = write_csv(twelve.parent / "ones.csv", "path,split,what,hat,coat", rows)
    assert faults_of(path, ["hat", "coat"]) == [
        f"attribute 'hat' is always 1 in '{name}': it has no precision there"
        for name in ("val", "test")
    ]
    assert faults_of(path, ["what"]) == [
        "column 'what' is chosen 2 times, as target or private",
    ]
    assert "no private column was chosen" in faults_of(path, [])


def test_cuts_of_one_video_in_two_splits_are_no_fault_unless_they_share_frames(
    tmp_path: Path,
) -> None:
    make_video(tmp_path / "v.mp4", 0, count=12)
    labels = ["a,p", "b,q"]

    def manifest(val_start: int) -> Path:
        spans = [(0, 4, "train"), (val_start, 8, "val"), (8, 12, "test")]
        rows = [f"v.mp4,{s},{a},{b},{label}" for a, b, s in spans for label in labels]
        return write_csv(tmp_path / "m.csv", "path,split,start,end,what,who", rows)

    assert len(load(manifest(4)).val) == 2
    assert faults_of(manifest(3)) == [
        "lines 2-5: the same frames of 'v.mp4' are in more than one split"
    ]


def test_the_cache_is_reused_mapped_and_follows_the_videos(twelve: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    calls: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        calls.append((done, total))

    how = replace(HOW, cache=cache, progress=progress)
    fresh = load(twelve, how=how)
    assert calls == [(i + 1, 12) for i in range(12)]
    assert fresh.hash == load(twelve).hash
    again = load(twelve, how=how)
    assert len(calls) == 12
    assert isinstance(again.train.clips, np.memmap)
    assert (again.hash, again.fps) == (fresh.hash, fresh.fps)
    np.testing.assert_array_equal(
        to_clips(again.val.clips).numpy(), to_clips(fresh.val.clips).numpy()
    )
    # Other labels: the same clips. Another size, another video: others.
    text = twelve.read_text(encoding="utf-8")
    twelve.write_text(text.replace(",p\n", ",z\n"), encoding="utf-8")
    assert load(twelve, how=how).private.classes == ("q", "z")
    assert len(calls) == 12
    assert load(twelve, how=replace(how, size=8)).val.clips.shape[2:] == (8, 8, 3)
    assert len(calls) == 24
    make_video(twelve.parent / "v5.mp4", 99)
    changed = load(twelve, how=how)
    assert len(calls) == 36
    np.testing.assert_array_equal(changed.val.clips[1], make_frames(99))
    assert len(list(cache.glob("*.npy"))) == len(list(cache.iterdir())) / 2 == 3


def test_faults_leave_no_cache_and_a_damaged_one_is_made_anew(twelve: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    good = (twelve.parent / "v3.mp4").read_bytes()
    (twelve.parent / "v3.mp4").write_bytes(good[:-200])
    assert len(faults_of(twelve, how=replace(HOW, cache=cache))) == 1
    assert not list(cache.iterdir())
    (twelve.parent / "v3.mp4").write_bytes(good)
    first = load(twelve, how=replace(HOW, cache=cache))
    (stored,), (facts,) = cache.glob("*.npy"), cache.glob("*.json")
    whole, rate = stored.read_bytes(), facts.read_bytes()
    clips = [(stored, content) for content in (b"", b"PK", whole[:-1], whole[:60], b"text")]
    rates = [
        (facts, content)
        for content in (b"", b"[]", b"{}", b'{"fps": NaN}', b'{"fps": Infinity}', b"\xff")
    ]
    for path, content in (*clips, *rates):
        path.write_bytes(content)
        again = load(twelve, how=replace(HOW, cache=cache))
        assert (again.hash, again.fps) == (first.hash, first.fps)
        assert (stored.read_bytes(), facts.read_bytes()) == (whole, rate)


def some_splits() -> dict[SplitName, Split]:
    def make(seed: int, clips: int) -> Split:
        pixels = make_frames(seed, clips * FRAMES).reshape(clips, FRAMES, SIZE, SIZE, 3)
        labels = np.arange(clips) % 2
        return Split(pixels, labels, labels)

    return {"train": make(1, 4), "val": make(2, 2), "test": make(3, 2)}


def test_exported_clips_come_back_exactly(tmp_path: Path) -> None:
    splits = some_splits()
    columns: Mapping[SplitName, Mapping[str, Sequence[str]]] = {
        name: {
            "what": ['a, "b"' if t else "ü" for t in part.target],
            "who": list("pqpq")[: len(part)],
        }
        for name, part in splits.items()
    }
    calls: list[tuple[int, int]] = []
    manifest = export_videos(
        tmp_path / "out", splits, columns, 30000 / 1001, progress=lambda *done: calls.append(done)
    )
    assert calls == [(i + 1, 8) for i in range(8)]
    data = load(manifest)
    assert data.target.classes == ('a, "b"', "ü")
    assert data.fps == pytest.approx(30000 / 1001, rel=1e-6)
    for name, part in splits.items():
        np.testing.assert_array_equal(data.split(name).clips, part.clips)
        np.testing.assert_array_equal(data.split(name).target, 1 - part.target)
        np.testing.assert_array_equal(data.split(name).private, part.private)


def test_an_export_that_cannot_be_read_back_is_refused(tmp_path: Path) -> None:
    splits = some_splits()
    good = {name: {"what": ["a"] * len(part)} for name, part in splits.items()}
    bad = {**good, "val": {"what": ["a"], "split": ["x", "y"]}}
    with pytest.raises(DataError) as caught:
        export_videos(tmp_path, splits, bad, 25.0)
    assert caught.value.faults == (
        "split 'val', column 'what': 1 labels for 2 clips",
        "split 'val' has the columns ['what', 'split'], not ['what']",
    )
    with pytest.raises(DataError, match="'path' cannot be a label column"):
        export_videos(tmp_path, splits, {n: {"path": c["what"]} for n, c in good.items()}, 25.0)
    export_videos(tmp_path, splits, good, 25.0, "h264:crf=30")
    with pytest.raises(DataError, match="exists: delete it"):
        export_videos(tmp_path, splits, good, 25.0)


def test_the_hash_follows_every_pixel_and_label(twelve: Path) -> None:
    splits = some_splits()
    hashes = {hash_splits(splits), hash_splits(some_splits())}
    assert len(hashes) == 1
    for name, field in zip(SPLITS, ("private", "clips", "target"), strict=True):
        changed = some_splits()
        getattr(changed[name], field).flat[-1] ^= 1
        hashes.add(hash_splits(changed))
    assert len(hashes) == 3 + 1
    assert json.dumps(load(twelve).hash) != json.dumps(hash_splits(splits))
