from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from unseen.data.decode import (
    ClipFaults,
    ClipRange,
    Decoding,
    decode_clips,
    letterbox,
    sample_frames,
)
from unseen.data.video import probe, write_video
from unseen.errors import DataError


@pytest.mark.parametrize(("start", "length"), [(0, 4), (7, 4), (0, 2), (3, 1), (5, 9), (0, 101)])
def test_sampled_frames_are_even(start: int, length: int) -> None:
    numbers = sample_frames(start, start + length, 4)
    naive = [start + int((i + 0.5) * length / 4) for i in range(4)]
    assert numbers.tolist() == naive
    if length <= 4:
        counts = Counter(numbers.tolist())
        assert sorted(counts) == list(range(start, start + length))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_letterbox_keeps_everything_and_its_proportions() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 32, 3), np.uint8)
    boxed = letterbox(image, 16)
    means = image.reshape(4, 2, 16, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(boxed[6:10], means, atol=0.51)
    assert not boxed[:6].any()
    assert not boxed[10:].any()
    np.testing.assert_array_equal(letterbox(image.transpose(1, 0, 2), 16), boxed.transpose(1, 0, 2))
    grown = letterbox(np.full((2, 4, 3), 200, np.uint8), 16)
    assert (grown[4:12] == 200).all()
    assert grown.sum() == 200 * 3 * 8 * 16


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_open_ranges_end_at_the_last_frame_with_and_without_a_declared_count(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"video{suffix}"
    frames = np.random.default_rng(0).integers(0, 256, (11, 16, 16, 3), np.uint8)
    write_video(path, frames, Fraction(10), "lossless")
    assert (probe(path).frames is None) == (suffix == ".mkv")
    decoded = decode_clips([ClipRange(path), ClipRange(path, 7)], Decoding(size=16, frames=11))
    np.testing.assert_array_equal(decoded.clips[0], frames)
    np.testing.assert_array_equal(decoded.clips[1], frames[[7, 7, 7, 8, 8, 9, 9, 9, 10, 10, 10]])


def test_all_faults_of_all_videos_are_collected(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, np.zeros((5, 16, 16, 3), np.uint8), Fraction(10), "lossless")
    ranges = [
        ClipRange(tmp_path / "none.mp4"),
        ClipRange(path, 0, 6),
        ClipRange(path),
        ClipRange(path, 5),
        ClipRange(path, box=(0, 0, 16, 17)),
        ClipRange(tmp_path / "nor.mp4"),
    ]
    with pytest.raises(ClipFaults) as caught:
        decode_clips(ranges, Decoding(size=16, frames=2))
    assert [fault.clips for fault in caught.value.faults] == [(0,), (4,), (1, 3), (5,)]


def test_a_cache_without_space_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, np.zeros((5, 16, 16, 3), np.uint8), Fraction(10), "lossless")
    with pytest.raises(DataError, match=r"take \d+ MB, but .* MB left"):
        decode_clips(
            [ClipRange(path)], Decoding(size=10**7, frames=10**4, cache=tmp_path / "cache")
        )
    assert not list((tmp_path / "cache").iterdir())
