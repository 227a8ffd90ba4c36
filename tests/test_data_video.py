import gc
import struct
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from unseen.data.codec import codec_round_trip
from unseen.data.video import (
    VideoFrame,
    VideoWriter,
    ahead,
    probe,
    read_frames,
    write_video,
)
from unseen.errors import ConfigError, VideoError
from video_files import Images, decode, every_frame, make_video, noise


def smooth(frames: int, height: int, width: int) -> Images:
    """A moving colour gradient, which codecs keep well."""
    y, x = np.mgrid[0:height, 0:width]
    parts = [np.stack([x * 4 + 2 * t, y * 4 + t, 230 - x * 2 - y + t], -1) for t in range(frames)]
    return np.stack(parts).clip(0, 255).astype(np.uint8)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Reading


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_frames_and_variable_times_are_exact(tmp_path: Path, suffix: str) -> None:
    images = noise(9)
    pts = [0, 1, 3, 4, 10, 12, 13, 14, 20]
    path = make_video(tmp_path / f"a.{suffix}", images, pts=pts, time_base=Fraction(1, 50))
    frames = list(read_frames(path))
    np.testing.assert_array_equal(np.stack([frame.image for frame in frames]), images)
    assert [frame.time for frame in frames] == [Fraction(p, 50) for p in pts]


def test_probe(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", noise(7, 20, 30), sound=True)
    info = probe(path)
    assert (info.width, info.height, info.rotation, info.frames) == (30, 20, 0, 7)
    assert info.rate == 25
    assert info.pixel_aspect == 1


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (270, 3)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_rotated_video_is_read_upright(
    tmp_path: Path, rotation: int, turns: int, suffix: str
) -> None:
    images = noise(3, 20, 30)
    path = make_video(tmp_path / f"a.{suffix}", images, rotation=rotation)
    info = probe(path)
    assert info.rotation == rotation
    upright = np.stack([np.rot90(image, turns) for image in images])  # counter-clockwise
    assert (info.height, info.width) == upright.shape[1:3]
    np.testing.assert_array_equal(every_frame(path), upright)


@pytest.mark.parametrize("rotation", [0, 90])
def test_mirrored_video_is_read_upright(tmp_path: Path, rotation: int) -> None:
    images = noise(2, 20, 30)
    path = make_video(tmp_path / "a.mp4", images, rotation=rotation, mirror=True)
    turned = np.stack([np.rot90(image, rotation // 90) for image in images])
    np.testing.assert_array_equal(every_frame(path), turned[:, :, ::-1])  # mirrored after turning


def test_avi_frames_have_increasing_times(tmp_path: Path) -> None:
    images = smooth(12, 32, 48)
    path = make_video(
        tmp_path / "a.avi", images, codec="libx264", pixels="yuv420p", options={"bf": "3"}
    )
    steps = np.diff([float(frame.time) for frame in read_frames(path)])
    np.testing.assert_allclose(steps, 1 / 25)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.mp4"
    path.write_text("not a video\n" * 50)

    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)  # whoever runs the tests may read everything
    with pytest.raises(VideoError, match=r"cannot read .*secret\.mp4: Permission denied"):
        probe(path)


def test_no_video(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"no video file .*gone\.mp4"):
        probe(tmp_path / "gone.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(VideoError, match="is empty"):
        list(read_frames(tmp_path / "empty.mp4"))
    # FFmpeg by itself plays both as videos.
    (tmp_path / "notes.txt").write_text("not a video\n" * 50)
    with pytest.raises(VideoError, match="cannot be read as a video"):
        list(read_frames(tmp_path / "notes.txt"))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile notes.txt\n")
    with pytest.raises(VideoError, match="cannot be read as a video"):
        probe(tmp_path / "list.mp4")
    with av.open(str(tmp_path / "tone.mp4"), "w") as output:
        audio = output.add_stream("aac", rate=8000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.int16), "s16", "mono")
        samples.sample_rate = 8000
        output.mux(audio.encode(samples))
        output.mux(audio.encode(None))
    with pytest.raises(VideoError, match="no video stream"):
        probe(tmp_path / "tone.mp4")


@pytest.mark.parametrize(
    ("name", "codec", "called"), [("a.flv", "flv1", "FLV"), ("a.wmv", "wmv2", "ASF or WMV")]
)
def test_containers_without_a_check_are_called_by_their_name(
    tmp_path: Path, name: str, codec: str, called: str
) -> None:
    path = make_video(tmp_path / name, smooth(3, 32, 48), codec=codec, pixels="yuv420p")
    fault = f"{name} is {called}, .* for example with ffmpeg -i {name} -c copy a.mkv"
    with pytest.raises(VideoError, match=fault):
        probe(path)


MADE = {
    "plain.mp4": ("libx264", "yuv420p", {}),
    "faststart.mp4": ("libx264", "yuv420p", {"movflags": "faststart"}),
    "fragments.mp4": ("libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
    "a.mov": ("libx264", "yuv420p", {}),
    "a.mkv": ("libx264", "yuv420p", {}),
    "live.mkv": ("libx264", "yuv420p", {"live": "1"}),
    "a.webm": ("libvpx-vp9", "yuv420p", {}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {}),
    "h264.avi": ("libx264", "yuv420p", {}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "a.ts": ("libx264", "yuv420p", {}),
    "a.mpg": ("mpeg2video", "yuv420p", {}),
}


def make(folder: Path, name: str) -> Path:
    codec, pixels, container = MADE[name]
    return make_video(
        folder / name,
        noise(24),
        codec=codec,
        pixels=pixels,
        options={"g": "10"},
        container=container,
    )


def raises_or_equals(path: Path, whole: Images) -> bool:
    """Whether reading raises; if not, the damage must have been outside of the pictures."""
    try:
        images = every_frame(path)
    except VideoError:
        return True
    np.testing.assert_array_equal(images, whole)
    return False


@pytest.mark.parametrize("name", MADE)
def test_a_cut_file_raises_and_never_ends_early(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, name)
    data, whole = path.read_bytes(), every_frame(path)
    assert len(whole) == 24
    raised = 0
    for share in np.linspace(0.03, 0.97, 25):
        path.write_bytes(data[: int(len(data) * share)])
        raised += raises_or_equals(path, whole)
    assert raised >= 21


@pytest.mark.parametrize("name", ["plain.mp4", "a.mkv", "a.webm", "mpeg4.avi", "a.mpg"])
def test_lost_bytes_raise(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, name)
    data, whole = path.read_bytes(), every_frame(path)
    raised = 0
    for share in np.linspace(0.2, 0.8, 10):
        middle = int(len(data) * share)
        path.write_bytes(data[:middle] + data[middle + 300 :])
        raised += raises_or_equals(path, whole)
    assert raised >= 8


def test_a_transport_stream_that_lost_a_packet_raises(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.ts", noise(24))
    data, whole = path.read_bytes(), every_frame(path)
    told = []
    for share in np.linspace(0.2, 0.8, 10):
        at = int(len(data) * share) // 188 * 188
        path.write_bytes(data[:at] + data[at + 188 :])
        try:
            np.testing.assert_array_equal(every_frame(path), whole)  # the packet held no picture
        except VideoError as error:
            told.append("its data is incomplete" in str(error))
    assert len(told) >= 8
    assert all(told)  # a decoder may not notice


def test_an_index_in_front_tells_of_a_cut_before_anything_is_decoded(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", noise(9), container={"movflags": "faststart"})
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    path.write_bytes(data[:-1])
    message = f"is cut off: it should have {len(data)} bytes or more and has {len(data) - 1}"
    with pytest.raises(VideoError, match=message):
        probe(path)
    frames = read_frames(path)
    with pytest.raises(VideoError, match=message):
        next(frames)


def test_matroska_that_declares_to_be_longer_than_its_frames_raises(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", noise(9))
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # the duration: eight bytes, in milliseconds
    (declared,) = struct.unpack(">d", data[at : at + 8])
    assert declared == pytest.approx(360, abs=1)
    assert len(list(read_frames(path))) == 9
    path.write_bytes(data[:at] + struct.pack(">d", declared + 1000) + data[at + 8 :])
    with pytest.raises(VideoError, match=r"cut off at frame 9: 1\.36 s are declared"):
        list(read_frames(path))


def test_a_change_of_frame_size_raises(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height = 48, 32
        wider: Any = av.CodecContext.create("libx264", "w")
        wider.width, wider.height, wider.pix_fmt = 64, 32, "yuv420p"
        wider.time_base, wider.options = Fraction(1, 25), {"bf": "0"}
        encoders: list[Any] = [stream, wider]
        for pts in range(10):
            encoder = encoders[pts // 5]
            frame = av.VideoFrame.from_ndarray(smooth(1, 32, encoder.width)[0], "rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            packets = encoder.encode(frame) + (encoder.encode(None) if pts % 5 == 4 else [])
            for packet in packets:
                packet.stream = stream
                output.mux(packet)
    with pytest.raises(VideoError, match=r"changes its frame size from .48, 32. to .64, 32."):
        every_frame(path)


def test_frames_are_read_ahead_in_order_until_the_fault(tmp_path: Path) -> None:
    images = noise(6)
    asked: list[int] = []
    going_on = threading.Event()

    def frames() -> Iterator[VideoFrame]:
        for number, frame in enumerate(read_frames(make_video(tmp_path / "a.mp4", images))):
            asked.append(number)
            if number == 2:
                going_on.set()
            yield frame
        raise VideoError("damaged after the last frame")

    coming = ahead(frames())
    np.testing.assert_array_equal(next(coming).image, images[0])
    np.testing.assert_array_equal(next(coming).image, images[1])
    assert going_on.wait(10)  # the third is read while the second is worked on
    for image in images[2:]:
        np.testing.assert_array_equal(next(coming).image, image)
    with pytest.raises(VideoError, match="after the last"):
        next(coming)
    assert asked == list(range(6))
    assert list(ahead(iter(()))) == []


def test_who_stops_early_waits_for_nothing(tmp_path: Path) -> None:
    before = threading.active_count()
    coming = ahead(read_frames(make_video(tmp_path / "a.mp4", noise(6))))
    next(coming)
    coming.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_many_are_read_ahead(tmp_path: Path) -> None:
    images = noise(6)
    asked: list[int] = []
    third = threading.Event()

    def frames() -> Iterator[VideoFrame]:
        for number, frame in enumerate(read_frames(make_video(tmp_path / "a.mp4", images))):
            asked.append(number)
            if number == 3:
                third.set()
            yield frame

    coming = ahead(frames(), 3)
    first = next(coming)
    assert third.wait(10)
    assert len(asked) == 4
    rest = list(coming)
    np.testing.assert_array_equal([first.image, *(frame.image for frame in rest)], images)


@pytest.mark.parametrize(("size", "pixels"), [((48, 48), "yuv420p"), ((47, 33), "yuv444p")])
def test_rough_colours_are_nearly_right(tmp_path: Path, size: tuple[int, int], pixels: str) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, smooth(3, *size), Fraction(25), "h264:crf=10")
    with av.open(str(path)) as source:
        assert source.streams.video[0].format.name == pixels
    rough = np.stack([frame.image for frame in read_frames(path, rough=True)]).astype(int)
    assert rough.shape == (3, *size, 3)
    error = rough - every_frame(path)
    assert np.abs(error).max() <= 10
    assert np.abs(error.mean((0, 1, 2))).max() < 3


def test_frames_are_freed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    image = smooth(1, 480, 640)[0]
    write_video(path, (image for _ in range(150)), Fraction(25))

    def resident() -> float:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * 4096 / 1e6

    gc.collect()
    gc.disable()  # a frame in a cycle of references would stay
    try:
        memory = [resident() for _ in read_frames(path)]
    finally:
        gc.enable()
    assert memory[-1] - memory[30] < 20  # 120 frames are 55 MB as decoded, 110 MB as RGB


# Writing


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("size", [(32, 48), (33, 47), (33, 48), (2, 2), (1, 1)])
def test_lossless_is_exact_at_any_size(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    images = noise(4, *size)
    path = tmp_path / f"12:30 ü.{suffix}"  # a colon must not become a protocol
    write_video(path, images, Fraction(30000, 1001), "lossless")
    decoded, times = decode(path)
    np.testing.assert_array_equal(decoded, images)
    if suffix != "mkv":
        assert times == [Fraction(1001 * t, 30000) for t in range(4)]
        assert probe(path).rate == Fraction(30000, 1001)
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("size", [(48, 48), (47, 33)])
def test_colours_do_not_shift(tmp_path: Path, size: tuple[int, int]) -> None:
    images = smooth(3, *size)
    write_video(tmp_path / "a.mp4", images, Fraction(25), "h264:crf=0")
    error = every_frame(tmp_path / "a.mp4").astype(int) - images
    assert np.abs(error[:, 1:-1, 1:-1]).max() <= 3  # 4:2:0 has no colour beyond the border
    assert np.abs(error.mean((0, 1, 2))).max() < 0.3
    grey = np.repeat(np.arange(48, dtype=np.uint8)[None, :, None] * 5, 3, -1).repeat(48, 0)[None]
    write_video(tmp_path / "grey.mp4", grey, Fraction(25), "h264:crf=0")
    back = every_frame(tmp_path / "grey.mp4")
    assert np.ptp(back, axis=-1).max() == 0
    assert np.abs(back.astype(int) - grey).max() <= 1


def test_other_programs_read_the_same_colours(tmp_path: Path) -> None:
    images = smooth(2, 48, 48)
    write_video(tmp_path / "a.mp4", images, Fraction(25), "h264:crf=0")
    with av.open(str(tmp_path / "a.mp4")) as source:
        frame = next(source.decode(video=0))
        assert (frame.format.name, frame.colorspace, frame.color_range) == ("yuv420p", 1, 1)
        luma = frame.to_ndarray()[:48].astype(float)
    red, green, blue = np.moveaxis(images[0] / 255, -1, 0)
    expected = 16 + 219 * (0.2126 * red + 0.7152 * green + 0.0722 * blue)  # ITU-R BT.709, 3.2
    assert np.abs(luma - expected).max() < 1


def test_variable_times_are_written_exactly(tmp_path: Path) -> None:
    images, pts, base = noise(5), [7, 8, 11, 30, 31], Fraction(1001, 30000)
    with VideoWriter(tmp_path / "a.mp4", 48, 32, base, codec="lossless") as writer:
        for image, time_ in zip(images, pts, strict=True):
            writer.write(image, time_, 3)
    decoded, times = decode(tmp_path / "a.mp4")
    np.testing.assert_array_equal(decoded, images)
    assert times == [t * base for t in pts]
    last = list(read_frames(tmp_path / "a.mp4"))[-1]
    assert last.duration * last.time_base == 3 * base


@pytest.mark.usefixtures("unchecked")
def test_bad_frames_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    image = noise(1)[0]
    with VideoWriter(tmp_path / "good.mp4", 48, 32, Fraction(1, 25)) as writer:
        writer.write(image, 4)
        with pytest.raises(VideoError, match="not after the last one"):
            writer.write(image, 4)
        with pytest.raises(VideoError, match=r"must be uint8 \(32, 48, 3\)"):
            writer.write(image[:30], 5)
        with pytest.raises(VideoError, match="is float32"):
            writer.write(image.astype(np.float32), 5)
    assert len(every_frame(tmp_path / "good.mp4")) == 1
    with pytest.raises(VideoError, match="must be uint8"):
        write_video(path, [image, image[:30]], Fraction(25))
    with pytest.raises(VideoError, match="no frames"):
        write_video(path, [], Fraction(25))
    with pytest.raises(VideoError, match="no frames"), VideoWriter(path, 4, 4, Fraction(1, 25)):
        pass
    with pytest.raises(ConfigError, match=r"must end in \.mp4, \.mov, \.mkv"):
        write_video(tmp_path / "a.avi", [image], Fraction(25))
    assert names(tmp_path) == ["good.mp4"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, OSError])
def test_an_interrupted_writer_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"an earlier result")

    def images() -> Iterator[Images]:
        yield from noise(60)
        assert len(names(tmp_path)) == 2  # the temporary file beside the old one
        raise error("stop")

    with pytest.raises(error, match="stop"):
        write_video(path, images(), Fraction(25), "lossless")
    assert names(tmp_path) == ["a.mp4"]
    assert path.read_bytes() == b"an earlier result"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="POSIX alone limits how large a file may get")
    images = noise(20)
    path = tmp_path / "a.mp4"
    write_video(path, images, Fraction(25), "lossless")
    whole = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for missing in (whole // 2, 3000, 1000, 30, 1):
        path.write_bytes(b"old")
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (whole - missing, limits[1]))
            with pytest.raises(VideoError, match="cannot write"):
                write_video(path, images, Fraction(25), "lossless")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert names(tmp_path) == ["a.mp4"]
        assert path.read_bytes() == b"old"


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path, fewer = tmp_path / "a.mkv", tmp_path / "fewer.mkv"
    write_video(fewer, noise(9), Fraction(25), "lossless")
    with VideoWriter(path, 48, 32, Fraction(1, 25), codec="lossless") as writer:
        for pts, image in enumerate(noise(10)):
            writer.write(image, pts, 1)
    writer._refuse_incomplete(path)
    with pytest.raises(VideoError, match=r"a\.mkv: 9 of 10 frames came out; free disk space"):
        writer._refuse_incomplete(fewer)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VideoError, match=r"a\.mkv: it came out broken; free disk space"):
        writer._refuse_incomplete(path)


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        ("h265", "choose from: h264, h264:crf=N"),
        ("h264-slow", "did you mean 'h264-fast'"),
        ("h264-fast:crf=52", "from 0 .best. to 51"),
        ("h264:crf=52", "from 0 .best. to 51"),
        ("h264:crf=-1", "from 0 .best. to 51"),
        ("h264:crf=nan", "from 0 .best. to 51"),
        ("h264:crf=x", "from 0 .best. to 51"),
        ("h264:23", "the option is crf=N"),
        ("lossless:1", "takes no option"),
    ],
)
def test_unknown_codecs(tmp_path: Path, codec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        write_video(tmp_path / "a.mp4", noise(1), Fraction(25), codec)
    assert names(tmp_path) == []


# Round trip in memory


@pytest.mark.parametrize("size", [(48, 48), (31, 45)])
def test_round_trip_equals_a_file(tmp_path: Path, size: tuple[int, int]) -> None:
    clips = np.stack([smooth(8, *size), noise(8, *size)])
    result = codec_round_trip(clips, "h264:crf=30", 25.0)
    for index, clip in enumerate(clips):
        write_video(tmp_path / "a.mp4", clip, Fraction(25), "h264:crf=30")
        np.testing.assert_array_equal(result.clips[index], every_frame(tmp_path / "a.mp4"))
    assert np.abs(result.clips[0].astype(int) - clips[0]).mean() < 6


def test_clips_of_many_hours_are_coded_too() -> None:
    """Sixteen frames spread over a day have no rate that x264 could be told as it is."""
    clips = np.random.default_rng(0).integers(0, 256, (1, 4, 48, 48, 3), np.uint8)
    slow = codec_round_trip(clips, "h264:crf=30", 16 / 86_400)
    assert slow.clips.shape == clips.shape
    assert slow.bytes > 0


def test_round_trip_rates(tmp_path: Path) -> None:
    clips = np.stack([noise(8, 48, 48), noise(8, 48, 48, seed=1)])
    lossless = codec_round_trip(clips, "lossless", Fraction(25))
    np.testing.assert_array_equal(lossless.clips, clips)
    sizes = [codec_round_trip(clips, f"h264:crf={crf}", 25).bytes for crf in (10, 23, 40)]
    assert lossless.bytes > clips.size * 0.9  # noise does not compress
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 3 * sizes[2]
    fast = [codec_round_trip(clips, f"h264-fast:crf={crf}", 25) for crf in (10, 40)]
    assert fast[0].bytes > 3 * fast[1].bytes
    assert fast[0].bytes != sizes[0]
    assert codec_round_trip(clips[:0], "h264", 25).clips.shape == (0, 8, 48, 48, 3)
    alone = codec_round_trip(clips[1:], "h264", 25)
    np.testing.assert_array_equal(alone.clips, codec_round_trip(clips, "h264", 25).clips[1:])


def test_round_trip_is_deterministic() -> None:
    clips = smooth(8, 48, 48)[None].repeat(30, 0)  # x264's AVX-512 code fails this
    result = codec_round_trip(clips, "h264:crf=30", 25).clips
    np.testing.assert_array_equal(result, result[:1].repeat(30, 0))


def test_round_trip_is_fast() -> None:
    clips = np.stack([smooth(16, 48, 48)] * 20)
    begin = time.process_time()
    codec_round_trip(clips, "h264", 12)
    assert (time.process_time() - begin) / len(clips) < 0.03
