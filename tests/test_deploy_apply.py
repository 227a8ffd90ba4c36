import itertools
import os
import signal
import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from unseen.anonymizers.base import Anonymizer, Step
from unseen.anonymizers.learned import FilterConfig, LearnedFilter, save_filter
from unseen.anonymizers.load import load_anonymizer
from unseen.anonymizers.modifier import FaceModifier, ModifierConfig, save_modifier
from unseen.data.decode import letterbox
from unseen.data.video import read_frames
from unseen.deploy import apply
from unseen.deploy.apply import anonymize_paths, anonymize_video
from unseen.deploy.plan import passed_over
from unseen.errors import ConfigError, DataError, VideoError
from unseen.faces.find import Faces, find_faces
from unseen.types import Boxes, Clips
from video_files import Images, decode, make_video, noise


class Invert(Anonymizer):
    """The negative, frame by frame."""

    name = "invert"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        return Step(1 - clips)


class Trail(Anonymizer):
    """The mean of this and the last output, and a mark that counts the frames: needs its state."""

    name = "trail"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        assert not self.training
        last, count = (torch.zeros_like(clips[:, :, 0]), 0) if state is None else state
        frames = []
        for frame in clips.unbind(2):
            last = (frame + last) / 2
            count += 1
            shown = last.clone()
            shown[:, :, 0, 0] = (count % 256) / 255
            frames.append(shown)
        return Step(torch.stack(frames, 2), (last, count))


class Faulty(Anonymizer):
    """Inverts, but after some frames does what `fault` says."""

    name = "faulty"

    def __init__(self, fault: Any, after: int = 8) -> None:
        super().__init__()
        self.fault, self.after = fault, after

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        count = (state or 0) + clips.shape[2]
        return Step(self.fault(1 - clips) if count > self.after else 1 - clips, count)


class Patches(Anonymizer):
    """Keeps what it is given: the working size shows."""

    name = "patches"
    working_size = 24

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        self.seen.append(clips)
        return Step(clips)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def trail(images: Images) -> Images:
    """`Trail`, written as a plain loop."""
    last, shown = np.zeros(images.shape[1:]), []
    for count, image in enumerate(images, 1):
        last = (image / 255 + last) / 2
        out = np.rint(last * 255)
        out[0, 0] = count % 256
        shown.append(out)
    return np.stack(shown).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_every_frame_passes_at_its_own_time(
    tmp_path: Path, suffix: str, size: tuple[int, int]
) -> None:
    images = noise(11, *size)
    pts = [3, 4, 6, 9, 10, 11, 30, 31, 40, 41, 44]
    src = make_video(tmp_path / f"a.{suffix}", images, pts=pts, time_base=Fraction(1, 50))
    dst = tmp_path / f"out/b.{suffix}"
    calls: list[tuple[int, int | None]] = []
    applied = anonymize_video(
        src, dst, Invert(), codec="lossless", chunk=4, progress=lambda *call: calls.append(call)
    )
    decoded, times = decode(dst)
    np.testing.assert_array_equal(decoded, 255 - images)
    assert times == decode(src)[1] == [Fraction(p, 50) for p in pts]
    assert (applied.frames, applied.width, applied.height) == (11, size[1], size[0])
    total = None if suffix == "mkv" else 11
    assert calls == [(4, total), (8, total), (11, total)]


@pytest.mark.parametrize(
    ("src", "dst"), [("a.ts", "b.mp4"), ("a.avi", "b.mkv"), ("a.webm", "b.mp4"), ("a.mkv", "b.mov")]
)
def test_times_are_kept_from_other_containers(tmp_path: Path, src: str, dst: str) -> None:
    images = noise(10)
    lossless = {"libvpx-vp9": {"lossless": "1"}, "ffv1": {}, "libx264": {"bf": "2"}}
    codec = {"ts": "libx264", "avi": "ffv1", "webm": "libvpx-vp9", "mkv": "ffv1"}[src[2:]]
    make_video(
        tmp_path / src,
        images,
        pts=None if src == "a.avi" else [2 * p + 7 for p in range(10)],
        codec=codec,
        pixels="yuv444p" if codec == "libvpx-vp9" else "yuv420p",
        options=lossless[codec],
        time_base=Fraction(1, 25),
    )
    anonymize_video(tmp_path / src, tmp_path / dst, Invert())
    assert decode(tmp_path / dst)[1] == decode(tmp_path / src)[1]


@pytest.mark.parametrize("chunk", [1, 3, 16])
def test_chunks_do_not_show(tmp_path: Path, chunk: int) -> None:
    images = noise(20)
    src = make_video(tmp_path / "a.mp4", images)
    model = Trail()
    anonymize_video(src, tmp_path / "b.mp4", model, codec="lossless", chunk=chunk)
    # Rounding of halves may differ by one level between float32 and float64.
    error = np.abs(decode(tmp_path / "b.mp4")[0].astype(int) - trail(images))
    assert error.max() <= 1
    assert error.mean() < 0.01
    assert model.training  # as it was before


def test_rotation_becomes_pixels(tmp_path: Path) -> None:
    images = noise(4, 20, 30)
    src = make_video(tmp_path / "a.mp4", images, rotation=90)
    applied = anonymize_video(src, tmp_path / "b.mp4", Invert(), codec="lossless")
    assert (applied.width, applied.height) == (20, 30)
    decoded, _ = decode(tmp_path / "b.mp4")
    np.testing.assert_array_equal(decoded, 255 - np.stack([np.rot90(i) for i in images]))
    with av.open(str(tmp_path / "b.mp4")) as output:
        assert next(output.decode(video=0)).rotation == 0


def test_sound_and_metadata_are_dropped_unless_asked_for(tmp_path: Path) -> None:
    tags = {"title": "Jane Doe", "comment": "ward 7"}
    src = make_video(tmp_path / "a.mp4", noise(25), sound=True, metadata=tags)
    assert b"Jane Doe" in src.read_bytes()
    anonymize_video(src, tmp_path / "silent.mp4", Invert())
    with av.open(str(tmp_path / "silent.mp4")) as output:
        assert [stream.type for stream in output.streams] == ["video"]
    assert b"Jane Doe" not in (tmp_path / "silent.mp4").read_bytes()

    def sound(path: Path) -> list[tuple[Fraction, bytes]]:
        with av.open(str(path)) as source:
            return [
                (Fraction(packet.pts) * packet.time_base, bytes(packet))
                for packet in source.demux(audio=0)
                if packet.size and packet.pts is not None
            ]

    anonymize_video(src, tmp_path / "b.mp4", Invert(), codec="lossless", keep_audio=True)
    assert len(sound(src)) > 5
    assert sound(tmp_path / "b.mp4") == sound(src)
    assert decode(tmp_path / "b.mp4")[1] == decode(src)[1]
    assert b"Jane Doe" not in (tmp_path / "b.mp4").read_bytes()
    mute = make_video(tmp_path / "mute.mp4", noise(3))
    anonymize_video(mute, tmp_path / "c.mp4", Invert(), keep_audio=True)


def test_working_size(tmp_path: Path) -> None:
    # Blocks of 4x4 alike: area averaging to a quarter finds each block's value.
    blocks = noise(3, 16, 24)
    src = make_video(tmp_path / "a.mp4", blocks.repeat(4, 1).repeat(4, 2))
    model = Patches()
    applied = anonymize_video(src, tmp_path / "b.mp4", model, codec="lossless")
    seen = torch.cat(model.seen, 2)[0].permute(1, 2, 3, 0).mul(255).round().numpy()
    np.testing.assert_array_equal(seen[:, 4:20], blocks)
    assert not seen[:, :4].any()
    assert not seen[:, 20:].any()
    assert (applied.height, applied.width) == (64, 96)
    decoded, _ = decode(tmp_path / "b.mp4")
    # Bilinear, sample centres aligned: pixel (4i + 1, 4j + 1) lies 1/8 of a block off its centre.
    b = blocks.astype(float)
    rows = b[:, 1:-1] * 0.875 + b[:, :-2] * 0.125
    expected = rows[:, :, 1:-1] * 0.875 + rows[:, :, :-2] * 0.125
    assert np.abs(decoded[:, 5:-4:4, 5:-4:4] - expected).max() < 0.51


@pytest.mark.parametrize("size", [(53, 95), (94, 40), (9, 95), (20, 12)])
def test_a_filter_sees_frames_as_data_sets_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    images = noise(2, *size)
    src = make_video(tmp_path / "a.mp4", images)
    model = Patches()
    applied = anonymize_video(src, tmp_path / "b.mp4", model, codec="lossless")
    assert (applied.height, applied.width) == size
    seen = torch.cat(model.seen, 2)[0].permute(1, 2, 3, 0).mul(255).round().numpy()
    np.testing.assert_array_equal(seen, [letterbox(image, 24) for image in decode(src)[0]])
    # What comes out is the inside of that square: the mean stays, the black around it is cut away.
    shown = decode(tmp_path / "b.mp4")[0]
    assert np.abs(shown.mean((1, 2)) - images.mean((1, 2))).max() < 4


@pytest.mark.parametrize(("made_for", "every"), [(25.0, 1), (18.0, 1), (12.0, 2), (6.0, 4)])
def test_of_a_fast_video_every_nth_frame_is_anonymized_and_stands_for_the_next(
    tmp_path: Path, made_for: float, every: int
) -> None:
    images = noise(11, 16, 24)
    src = make_video(tmp_path / "a.mp4", images, time_base=Fraction(1, 25))
    model = Trail()
    model.frame_rate = made_for
    anonymize_video(src, tmp_path / "b.mp4", model, codec="lossless", chunk=3)
    decoded, times = decode(tmp_path / "b.mp4")
    expected = trail(images[::every]).repeat(every, 0)[:11]
    assert np.abs(decoded.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(decoded[:, 0, 0], expected[:, 0, 0])
    assert times == decode(src)[1]


@pytest.mark.parametrize(
    ("pts", "again"),
    [
        # Dense frames after a pause: the average rate is far below theirs.
        ([0, *range(250, 260)], [0, 1, 5, 9]),
        # Twice as fast from the middle on: every second frame, then every fourth of them.
        ([0, 2, 4, 6, 8, 10, 11, 12, 13, 14, 15], [0, 2, 4, 7]),
        # A rate of 1,000 a second: what is shown in so short a time is one frame.
        ([n / 40 for n in range(11)], [0]),
    ],
)
def test_frames_are_thinned_by_their_own_times(
    tmp_path: Path, pts: list[float], again: list[int]
) -> None:
    """What a file declares, or its average, says nothing of how dense frames are."""
    images = noise(11, 16, 24)
    times = [round(40 * n) for n in pts]
    src = make_video(tmp_path / "a.mp4", images, pts=times, time_base=Fraction(1, 1000))
    model = Trail()
    model.frame_rate = 6.25  # of 25 frames a second every fourth
    anonymize_video(src, tmp_path / "b.mp4", model, codec="lossless", chunk=4)
    decoded, _ = decode(tmp_path / "b.mp4")
    stands = [max(i for i, n in enumerate(again) if n <= frame) for frame in range(11)]
    expected = trail(images[again])[stands]
    assert np.abs(decoded.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", ["raw", "noise:0", "downsample:1", "resized:8"])
def test_what_removes_nothing_is_written_by_nobody(tmp_path: Path, name: str) -> None:
    src = make_video(tmp_path / "a.mp4", noise(3))
    with pytest.raises(ConfigError, match=f"'{name}' removes nothing"):
        anonymize_video(src, tmp_path / "b.mp4", load_anonymizer(name))
    assert names(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("steps", [0, 1])
def test_a_filter_of_no_steps_is_used_by_nobody(tmp_path: Path, steps: int) -> None:
    src, dst = make_video(tmp_path / "a.mp4", noise(3)), tmp_path / "b.mp4"
    for name in ("filter", "modifier"):
        run = tmp_path / name
        run.mkdir()
        if name == "filter":
            save_filter(LearnedFilter(FilterConfig(width=4), size=32), run, {"steps": steps})
        else:
            save_modifier(FaceModifier(ModifierConfig(size=16, width=4)), run, {"steps": steps})
        anonymizer = load_anonymizer(run)
        if steps:
            anonymize_video(src, dst, anonymizer)
            dst.unlink()
            continue
        with pytest.raises(ConfigError, match=r"no steps of its game .* \(train.steps=0\)"):
            anonymize_video(src, dst, anonymizer)
        assert not dst.exists()


FAULTS: dict[str, Any] = {
    "raises": lambda clips: clips.no_such_attribute,
    "short": lambda clips: clips[:, :, :-1],
    "small": lambda clips: clips[..., ::2],
    "nan": lambda clips: clips.clone().index_fill_(4, torch.tensor([1]), float("nan")),
    "inf": lambda clips: clips / 0,
    "bright": lambda clips: clips + 0.01,
    "dark": lambda clips: clips - 0.01,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("earlier", [True, False])
def test_a_failing_anonymizer_leaves_nothing(tmp_path: Path, fault: str, earlier: bool) -> None:
    src = make_video(tmp_path / "a.mp4", noise(20))
    dst = tmp_path / "b.mp4"
    if earlier:
        dst.write_bytes(b"old")
    with pytest.raises(VideoError, match=r"'faulty' failed at frame 8 of .*a\.mp4: "):
        anonymize_video(src, dst, Faulty(FAULTS[fault]), chunk=4)
    assert names(tmp_path) == (["a.mp4", "b.mp4"] if earlier else ["a.mp4"])
    assert not earlier or dst.read_bytes() == b"old"


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    src = make_video(tmp_path / "a.mp4", noise(20))

    def interrupt(clips: Clips) -> Clips:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        anonymize_paths([src], tmp_path / "b.mp4", Faulty(interrupt), chunk=4)
    assert names(tmp_path) == ["a.mp4"]


def test_a_killed_process_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    src = make_video(tmp_path / "a.mp4", noise(40))
    program = (
        "import sys, time; from pathlib import Path\n"
        "from test_deploy_apply import Faulty; from unseen.deploy.apply import anonymize_paths\n"
        "def wait(clips): print('waiting', flush=True); time.sleep(60)\n"
        "anonymize_paths([Path(sys.argv[1])], Path(sys.argv[2]), Faulty(wait, 20), chunk=4)"
    )
    out = tmp_path / "b.mp4"
    out.write_bytes(b"old")
    with subprocess.Popen(
        [sys.executable, "-c", program, str(src), str(out)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        os.kill(process.pid, signal.SIGKILL)
    assert out.read_bytes() == b"old"
    assert [path for path in names(tmp_path) if not path.startswith(".")] == ["a.mp4", "b.mp4"]


def test_a_broken_video_leaves_nothing(tmp_path: Path) -> None:
    src = make_video(tmp_path / "a.mkv", noise(20))
    data = src.read_bytes()
    middle = len(data) // 2
    src.write_bytes(data[:middle] + bytes(800) + data[middle + 800 :])
    done: list[int] = []
    with pytest.raises(VideoError, match=r"a\.mkv is damaged or cut off at frame \d+"):
        anonymize_video(
            src, tmp_path / "b.mkv", Invert(), chunk=1, progress=lambda n, _: done.append(n)
        )
    assert done  # it had begun to write
    assert names(tmp_path) == ["a.mkv"]


def test_settings_that_fit_no_video(tmp_path: Path) -> None:
    src = make_video(tmp_path / "a.mp4", noise(3))
    before = src.read_bytes()
    (tmp_path / "link.mp4").symlink_to(src)
    os.link(src, tmp_path / "hard.mp4")
    for same in ("a.mp4", "link.mp4", "hard.mp4"):
        with pytest.raises(ConfigError, match="is the input itself"):
            anonymize_video(src, tmp_path / same, Invert())
    faces = Invert()
    faces.needs_boxes = "face"
    with pytest.raises(ConfigError, match="'invert' needs face boxes"):
        anonymize_video(src, tmp_path / "b.mp4", faces, region="frame")
    faces.needs_boxes = "body"
    with pytest.raises(ConfigError, match="'invert' needs body boxes"):
        anonymize_video(src, tmp_path / "b.mp4", faces)
    with pytest.raises(ConfigError, match="whole frames need an anonymizer"):
        anonymize_video(src, tmp_path / "b.mp4", region="frame")
    with pytest.raises(ConfigError, match=r"unseen.load_anonymizer\('blur:8'\)"):
        anonymize_video(src, tmp_path / "b.mp4", "blur:8")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="whole frames are anonymized"):
        anonymize_video(src, tmp_path / "b.mp4", Invert(), faces_json=str(tmp_path / "f.json"))
    with pytest.raises(ConfigError, match="chunk is 0"):
        anonymize_paths([src], None, Invert(), chunk=0)
    with pytest.raises(ConfigError, match="unknown codec 'h263'"):
        anonymize_paths([src], None, Invert(), codec="h263")
    with pytest.raises(ConfigError, match="is a folder"):
        anonymize_video(src, tmp_path, Invert())
    with pytest.raises(ConfigError, match="must end in"):
        anonymize_video(src, tmp_path / "b.avi", Invert())
    with pytest.raises(VideoError, match="no video file"):
        anonymize_video(tmp_path / "gone.mp4", tmp_path / "b.mp4", Invert())
    assert src.read_bytes() == before
    assert names(tmp_path) == ["a.mp4", "hard.mp4", "link.mp4"]


def folder(path: Path) -> Path:
    """Three videos in two levels, and files that are none."""
    (path / "sub").mkdir(parents=True)
    make_video(path / "a.mp4", noise(3, seed=1))
    make_video(path / "sub/a.mkv", noise(3, seed=2))
    make_video(path / "b.avi", noise(3, seed=3), codec="ffv1", pixels="yuv420p", options={})
    (path / "notes.txt").write_text("no video")
    (path / ".hidden.mp4").write_text("no video")
    return path


def test_a_folder_keeps_names_and_sub_folders(tmp_path: Path) -> None:
    videos = folder(tmp_path / "in")
    calls: list[str] = []
    applied = anonymize_paths(
        [videos],
        tmp_path / "out",
        Invert(),
        codec="lossless",
        progress=lambda path, done, total: calls.append(f"{path.name} {done} {total}"),
    )
    assert names(tmp_path / "out") == ["a.mp4", "b.mp4", "sub/a.mkv"]
    assert {path.output for path in applied} == {
        tmp_path / "out" / name for name in names(tmp_path / "out")
    }
    np.testing.assert_array_equal(decode(tmp_path / "out/sub/a.mkv")[0], 255 - noise(3, seed=2))
    assert calls == ["a.mp4 3 3", "b.avi 3 3", "a.mkv 3 None"]


def test_outputs_are_not_taken_for_inputs(tmp_path: Path) -> None:
    videos = folder(tmp_path / "in")
    for _ in range(2):
        assert len(anonymize_paths([videos], videos / "out", Invert())) == 3
    others = folder(tmp_path / "others")
    for _ in range(2):
        assert len(anonymize_paths([others], None, Invert())) == 3
    assert len(anonymize_paths([others / "sub"], others, Invert())) == 1
    marked = ["a.anonymized.mp4", "b.anonymized.mp4", "sub/a.anonymized.mkv"]
    assert set(marked) <= set(names(others))


def test_links_to_files_keep_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make_video(folder / "z.mp4", noise(3))
    (folder / "a.mp4").symlink_to("z.mp4")
    (folder / "gone.mp4").symlink_to("nothing.mp4")
    os.mkfifo(folder / "pipe.mkv")
    twice = [folder, tmp_path / "in/../in/z.mp4"]
    assert len(anonymize_paths(twice, tmp_path / "out", Invert())) == 2
    assert names(tmp_path / "out") == ["a.mp4", "z.mp4"]
    told = passed_over([folder])
    assert told == f"no files: {folder / 'gone.mp4'}, {folder / 'pipe.mkv'}"
    (tmp_path / "to").mkdir()
    (tmp_path / "to/z.mp4").symlink_to(folder / "z.mp4")
    with pytest.raises(DataError, match="would replace the input"):
        anonymize_paths([folder / "z.mp4"], tmp_path / "to", Invert())


def test_what_lies_among_the_outputs_is_told_of(tmp_path: Path) -> None:
    """Raw files in the folder of the outputs are taken for outputs; the user is told."""
    album, out = folder(tmp_path / "in"), tmp_path / "in/out"
    out.mkdir()
    make_video(out / "raw.mp4", noise(3))
    written = [one.output for one in anonymize_paths([album], out, Invert())]
    assert len(written) == 3
    told = passed_over([album], out, written)
    assert told is not None
    assert told.endswith(f"1 files taken for outputs, as they lie in {out}, that this run did not "
                         f"write: {out / 'raw.mp4'}")  # fmt: skip
    (out / "raw.mp4").unlink()
    assert passed_over([album], out, written) == "files of other kinds: 1 .txt"


def test_folders_that_cannot_be_searched_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    album, scan = folder(tmp_path / "in"), os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"sub cannot be searched: Permission denied"):
        anonymize_paths([album], tmp_path / "out", Invert())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("faces", [None, "faces"])
def test_names_that_become_too_long_are_told_before_any_work(
    tmp_path: Path, faces: str | None
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "n" * (249 if faces else 245), "m" * (249 if faces else 245), "z"):
        make_video(tmp_path / "in" / f"{name}.mp4", noise(2))
    out, json = (tmp_path / "out", tmp_path / faces) if faces else (None, None)
    with pytest.raises(DataError) as caught:
        anonymize_paths([tmp_path / "in"], out, faces_json=json)
    assert str(caught.value).count("its name is longer than 255 bytes") == 2
    assert len(names(tmp_path / "in")) == 4
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_replaced_meanwhile_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a video of as many frames of the same size: nobody looked for its faces."""
    for times in ([0, 1, 2], [0, 1, 3]):
        src = make_video(tmp_path / "a.mp4", noise(3))
        other = make_video(tmp_path / "b.mp4", noise(3, seed=1), pts=times)

        def find(path: Path, *more: Any, other: Path = other, **named: Any) -> Faces:
            found = find_faces(path, *more, **named)
            other.replace(path)
            return found

        monkeypatch.setattr(apply, "find_faces", find)
        with pytest.raises(VideoError, match=r"while it (was|is) anonymized"):
            anonymize_video(src, tmp_path / "out.mp4")
        assert names(tmp_path) == ["a.mp4"]


def test_fewer_frames_than_were_looked_at_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    src = make_video(tmp_path / "a.mp4", noise(5))

    def short(path: Path) -> Any:
        return itertools.islice(read_frames(path), 4)

    monkeypatch.setattr(apply, "read_frames", short)
    with pytest.raises(VideoError, match="changed while it was anonymized"):
        anonymize_video(src, tmp_path / "out.mp4")
    assert names(tmp_path) == ["a.mp4"]


def test_sound_that_was_cut_off_does_not_come_back(tmp_path: Path) -> None:
    """What an edit list leaves out is still in the file, and played by nobody."""
    src = make_video(tmp_path / "a.mp4", noise(25), sound=True)
    data = src.read_bytes()
    at = data.rindex(b"elst", 0, data.index(b"soun")) + 16
    src.write_bytes(data[:at] + (4000).to_bytes(4, "big") + data[at + 4 :])  # of 8000 a second
    with av.open(str(src)) as source:
        packets = [packet for packet in source.demux(audio=0) if packet.size]
    cut = [bytes(packet) for packet in packets if packet.is_discard]
    kept = [bytes(packet) for packet in packets if not packet.is_discard]
    assert len(cut) > 2
    assert len(kept) > 2
    for suffix in ("mp4", "mkv"):
        out = tmp_path / f"b.{suffix}"
        anonymize_video(src, out, Invert(), codec="lossless", keep_audio=True)
        with av.open(str(out)) as written:
            assert [bytes(packet) for packet in written.demux(audio=0) if packet.size] == kept
        assert not any(packet in out.read_bytes() for packet in cut)
        assert len(decode(out)[1]) == 25


def test_comments_in_the_sound_are_dropped(tmp_path: Path) -> None:
    src = tmp_path / "a.mkv"
    with av.open(str(src), "w") as output:
        video: Any = output.add_stream("libx264rgb", rate=25)
        video.width, video.height, video.pix_fmt = 48, 32, "rgb24"
        audio: Any = output.add_stream("vorbis", rate=8000, options={"strict": "-2"})
        audio.layout = "stereo"
        tone = np.sin(np.arange(8000) * 0.3).astype(np.float32)
        samples = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
        samples.sample_rate = 8000
        output.mux(audio.encode(samples))
        for image in noise(25):
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        output.mux(video.encode(None))
        output.mux(audio.encode(None))
    data = src.read_bytes()
    at = data.index(b"\3vorbis") + 11
    length = int.from_bytes(data[at - 4 : at], "little")
    name = b"Jane Doe of the second floor"[:length]
    src.write_bytes(data[:at] + name + data[at + len(name) :])

    def heard(path: Path) -> Any:
        with av.open(str(path)) as source:
            return np.concatenate([frame.to_ndarray() for frame in source.decode(audio=0)], 1)

    for suffix in ("mkv", "mp4"):
        out = tmp_path / f"b.{suffix}"
        anonymize_video(src, out, Invert(), keep_audio=True)
        assert b"Jane" not in out.read_bytes()
        np.testing.assert_array_equal(heard(out)[:, :8000], heard(src)[:, :8000])

    whole, at = src.read_bytes(), src.read_bytes().index(b"\1vorbis")
    damaged = (
        whole[: at - 3] + b"\3" + whole[at - 2 :],  # not laced as they must be
        whole[: at - 2] + b"\xff" + whole[at - 1 :],  # sizes beyond the end
        whole.replace(b"\5vorbis", b"\5vorbas", 1),
    )
    for content in damaged:
        src.write_bytes(content)
        with pytest.raises(VideoError, match=r"sound of .* is damaged: leave it out"):
            anonymize_video(src, tmp_path / "c.mkv", Invert(), keep_audio=True)
        assert not (tmp_path / "c.mkv").exists()


def test_what_transparency_hides_stays_hidden(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    image = np.full((32, 48, 4), (200, 0, 0, 255), np.uint8)
    image[:16, :, 3] = 0
    with av.open(str(path), "w") as output:
        video: Any = output.add_stream("png", rate=25)
        video.width, video.height, video.pix_fmt = 48, 32, "rgba"
        output.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgba")))
        output.mux(video.encode(None))
    shown = next(read_frames(path)).image
    assert (shown[:16] == 255).all()
    assert (shown[16:] == (200, 0, 0)).all()


def test_what_a_transparent_palette_hides_stays_hidden(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    colours = np.full((256, 4), (255, 200, 0, 0), np.uint8)  # alpha first
    colours[0, 0] = 0
    places = np.ones((32, 48), np.uint8)
    places[:16] = 0
    with av.open(str(path), "w") as output:
        video: Any = output.add_stream("png", rate=25)
        video.width, video.height, video.pix_fmt = 48, 32, "pal8"
        frame = av.VideoFrame.from_ndarray((places, colours), "pal8")  # type: ignore[arg-type]
        output.mux(video.encode(frame))
        output.mux(video.encode(None))
    shown = next(read_frames(path)).image
    assert (shown[:16] == 255).all()
    assert (shown[16:] == (200, 0, 0)).all()


def test_one_file(tmp_path: Path) -> None:
    src = make_video(tmp_path / "a.mp4", noise(3))
    (tmp_path / "there").mkdir()
    for out, expected in (
        (None, "a.anonymized.mp4"),
        ("b.mkv", "b.mkv"),
        ("there", "there/a.mp4"),
        ("new", "new/a.mp4"),
    ):
        applied = anonymize_paths([src], out and tmp_path / out, Invert())
        assert [path.output for path in applied] == [tmp_path / expected]
        assert len(decode(tmp_path / expected)[0]) == 3


def test_all_faults_of_the_inputs_come_first(tmp_path: Path) -> None:
    videos = folder(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    other = make_video(tmp_path / "a.mp4", noise(3))
    same = make_video(tmp_path / "b.mp4", noise(3))
    inputs = [videos, tmp_path / "empty", tmp_path / "gone.mp4", videos / "notes.txt", other, same]
    with pytest.raises(DataError) as caught:
        anonymize_paths(inputs, tmp_path / "out", Invert())
    faults = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 5
    assert f"{tmp_path}/empty: no videos or pictures" in faults
    assert f"{tmp_path}/gone.mp4: no such file" in faults
    assert "notes.txt cannot be read as a video" in faults
    assert f"{videos}/a.mp4, {other}: all would be written to {tmp_path}/out/a.mp4" in faults
    assert f"{videos}/b.avi, {same}: all would be written to {tmp_path}/out/b.mp4" in faults
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="would replace the input"):
        anonymize_paths([other], tmp_path, Invert())
    with pytest.raises(ConfigError, match="not a folder"):
        anonymize_paths([other, same], tmp_path / "c.mp4", Invert())
    with pytest.raises(ConfigError, match="not a folder"):
        anonymize_paths([other, same], videos / "notes.txt", Invert())
    gone = tmp_path / "gone.mp4"
    for wrong, faulty in (("c.mp4", [gone, other]), ("c.avi", [gone]), ("c.png", [gone])):
        with pytest.raises(DataError) as caught:
            anonymize_paths(faulty, tmp_path / wrong, Invert())
        assert len(caught.value.faults) == 2
        assert f"{tmp_path / wrong}" in caught.value.faults[0]
        assert f"{gone}: no such file" in caught.value.faults[1]


def test_the_others_are_done_and_the_broken_listed(tmp_path: Path) -> None:
    videos = folder(tmp_path / "in")
    for name in ("c.mkv", "d.mkv"):
        data = make_video(videos / name, noise(20)).read_bytes()
        middle = len(data) // 2
        (videos / name).write_bytes(data[:middle] + bytes(800) + data[middle + 800 :])
    done: list[str] = []
    with pytest.raises(DataError, match="2 of 5 files failed") as caught:
        anonymize_paths(
            [videos], tmp_path / "out", Invert(), finished=lambda one: done.append(one.source.name)
        )
    assert done == ["a.mp4", "b.avi", "a.mkv"]
    assert "in/c.mkv is damaged" in caught.value.faults[0]
    assert "in/d.mkv is damaged" in caught.value.faults[1]
    assert names(tmp_path / "out") == ["a.mp4", "b.mp4", "sub/a.mkv"]


def test_what_headers_tell_of_damage_is_told_before_any_work(tmp_path: Path) -> None:
    videos = folder(tmp_path / "in")
    for name in ("a.mp4", "sub/a.mkv"):
        data = (videos / name).read_bytes()
        (videos / name).write_bytes(data[: len(data) // 2])
    (videos / "c.mp4").write_bytes(b"")
    (videos / "d.mp4").write_text("no video")
    with pytest.raises(DataError, match="nothing was anonymized") as caught:
        anonymize_paths([videos], tmp_path / "out", Invert())
    faults = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 4
    assert "in/a.mp4" in faults
    assert "in/c.mp4 is empty" in faults
    assert "in/d.mp4 cannot be read as a video" in faults
    assert "sub/a.mkv is cut off" in faults
    assert not (tmp_path / "out").exists()


def test_memory_is_flat(tmp_path: Path) -> None:
    peaks = []
    for count in (60, 240):
        src = make_video(tmp_path / f"{count}.mp4", noise(1, 96, 128).repeat(count, 0))
        tracemalloc.start()
        anonymize_video(src, tmp_path / "out.mp4", Invert())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
