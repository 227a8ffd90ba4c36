"""The hash of a data set."""

import hashlib

import numpy as np
import pytest

from unseen.data.clips import ClipDataset, LabelSet, Split, SplitName, hash_splits


def _splits() -> dict[SplitName, Split]:
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        return Split(
            rng.integers(0, 256, (count, 2, 4, 6, 3), dtype=np.uint8),
            rng.integers(0, 8, count),
            rng.integers(0, 2, (count, 3)).astype(np.float32),
        )

    return {"train": split(3), "val": split(2), "test": split(2)}


def test_hash_is_sha256_over_shapes_types_and_bytes() -> None:
    splits = _splits()
    data = b""
    for name in ("train", "val", "test"):
        split = splits[name]
        for array in (split.clips, split.target, split.private):
            data += f"{name} {array.shape} {array.dtype}".encode() + array.tobytes()
    assert hash_splits(splits) == hashlib.sha256(data).hexdigest()


def test_order_of_the_mapping_and_layout_in_memory_do_not_matter() -> None:
    splits = _splits()
    turned: dict[SplitName, Split] = {
        name: Split(np.asfortranarray(s.clips), s.target, s.private)
        for name, s in reversed(splits.items())
    }
    assert hash_splits(turned) == hash_splits(splits)


@pytest.mark.parametrize("name", ["train", "val", "test"])
@pytest.mark.parametrize("part", ["clips", "target", "private"])
def test_any_change_changes_it(name: SplitName, part: str) -> None:
    splits = _splits()
    before = hash_splits(splits)
    array = getattr(splits[name], part)
    array.flat[-1] = 1 - min(array.flat[-1], 1)
    assert hash_splits(splits) != before


def test_splits_swapped_are_other_data() -> None:
    splits = _splits()
    splits["val"], splits["test"], before = splits["test"], splits["val"], hash_splits(splits)
    assert hash_splits(splits) != before


def test_splits_by_name() -> None:
    splits = _splits()
    labels = LabelSet("x", ("a", "b"))
    data = ClipDataset(
        "d", labels, labels, splits["train"], splits["val"], splits["test"], 1.0, True, ""
    )
    assert data.split("train") is splits["train"]
    assert data.split("val") is splits["val"]
    assert data.split("test") is splits["test"]
    assert [len(data.split(name)) for name in splits] == [3, 2, 2]
