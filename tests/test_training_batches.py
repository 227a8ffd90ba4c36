"""Batches are pure functions of seed and step."""

import numpy as np
import pytest

from unseen.training.batches import Order, augmented, faded, frames_in_a_row, some_frames


@pytest.mark.parametrize(("clips", "batch"), [(12, 4), (10, 4), (5, 8), (1, 1)])
def test_every_epoch_has_every_clip_once(clips: int, batch: int) -> None:
    order = Order(clips, batch, seed=3)
    steps = clips  # `clips` batches are `batch` whole epochs
    flat = np.concatenate([order.at(step) for step in range(steps)])
    epochs = flat.reshape(batch, clips)
    for epoch in epochs:
        assert sorted(epoch) == list(range(clips))
    if clips > 4:
        assert not np.array_equal(epochs[0], epochs[1])


def test_a_batch_needs_no_past() -> None:
    walked = Order(50, 8, seed=1)
    batches = [walked.at(step) for step in range(30)]
    np.testing.assert_array_equal(Order(50, 8, seed=1).at(29), batches[29])
    np.testing.assert_array_equal(walked.at(2), batches[2])
    assert not np.array_equal(Order(50, 8, seed=2).at(29), batches[29])


def _naive_variants(clip: np.ndarray) -> list[np.ndarray]:
    """Every shift by up to 1/12, with and without a mirror, pixel by pixel."""
    time, height, width, _ = clip.shape
    found = []
    for dy in range(-(height // 12), height // 12 + 1):
        for dx in range(-(width // 12), width // 12 + 1):
            moved = np.empty_like(clip)
            for t in range(time):
                for y in range(height):
                    for x in range(width):
                        row = min(max(y + dy, 0), height - 1)
                        column = min(max(x + dx, 0), width - 1)
                        moved[t, y, x] = clip[t, row, column]
            found += [moved, moved[:, :, ::-1]]
    return found


def test_augmented_clips_are_mirrored_and_moved_originals() -> None:
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, (1, 2, 12, 24, 3), dtype=np.uint8)
    variants = _naive_variants(stored[0])
    assert len(variants) == 2 * 3 * 5
    many = augmented(np.repeat(stored, 300, 0), rng)
    which = [
        next(i for i, variant in enumerate(variants) if np.array_equal(clip, variant))
        for clip in many
    ]
    assert set(which) == set(range(30))
    assert 0.4 < np.mean([i % 2 for i in which]) < 0.6


def test_augmentation_is_a_function_of_the_generator() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (4, 2, 24, 24, 3), dtype=np.uint8)
    kept = stored.copy()
    first, again, other = (augmented(stored, np.random.default_rng(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(stored, kept)


def test_some_frames_keep_their_order_and_differ_by_clip() -> None:
    frames = np.arange(10, dtype=np.uint8)
    stored = np.broadcast_to(frames[None, :, None, None, None], (50, 10, 2, 2, 3)).copy()
    picked = some_frames(stored, 4, np.random.default_rng(0))
    assert picked.shape == (50, 4, 2, 2, 3)
    chosen = picked[:, :, 0, 0, 0].astype(int)
    assert (np.diff(chosen, axis=1) > 0).all()
    assert set(chosen.ravel()) == set(range(10))
    assert len({tuple(row) for row in chosen}) > 30
    assert (picked == picked[:, :, :1, :1, :1]).all()


def test_frames_in_a_row_are_neighbours_and_differ_by_clip() -> None:
    frames = np.arange(10, dtype=np.uint8)
    stored = np.broadcast_to(frames[None, :, None, None, None], (50, 10, 2, 2, 3)).copy()
    picked = frames_in_a_row(stored, 4, np.random.default_rng(0))
    chosen = picked[:, :, 0, 0, 0].astype(int)
    assert (np.diff(chosen, axis=1) == 1).all()
    assert set(chosen[:, 0]) == set(range(7))
    assert (picked == picked[:, :, :1, :1, :1]).all()


@pytest.mark.parametrize("count", [0, 10, 11])
def test_all_frames(count: int) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (3, 10, 2, 2, 3), dtype=np.uint8)
    assert some_frames(stored, count, np.random.default_rng(0)) is stored
    assert frames_in_a_row(stored, count, np.random.default_rng(0)) is stored


def test_clips_fade_from_one_version_to_another() -> None:
    begin = np.array([0, 10, 255, 200], np.uint8).reshape(1, 1, 4, 1, 1).repeat(3, 4)
    end = np.array([100, 10, 0, 0], np.uint8).reshape(1, 1, 4, 1, 1).repeat(3, 4)
    assert np.array_equal(faded(begin, end, 0.0), begin)
    assert np.array_equal(faded(begin, end, 1.0), end)
    quarter = faded(begin, end, 0.25)
    assert quarter.dtype == np.uint8
    assert quarter[0, 0, :, 0, 0].tolist() == [25, 10, 191, 150]
