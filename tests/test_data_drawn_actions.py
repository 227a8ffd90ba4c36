"""Generated frames with action boxes: exact, the same each time, splits apart."""

import itertools
import tracemalloc

import numpy as np
import pytest

import unseen.data.load  # noqa: F401 - registers the data sets
from unseen.data import duet_faces
from unseen.data.action_frames import ActionFrames, load_action_frames
from unseen.data.clips import SPLITS
from unseen.data.duet import generate
from unseen.data.duet_faces import FACE_ACTIONS, action_frame


def sums(frames: ActionFrames) -> set[int]:
    return {int(frames[i].image.astype(np.int64).sum()) for i in range(len(frames))}


def test_duet_faces_is_what_was_drawn() -> None:
    frames = load_action_frames("duet-faces:13", side=64).of_split("train")
    assert (frames.name, frames.classes, len(frames)) == ("duet-faces:13", FACE_ACTIONS, 13)
    assert [int(frames[i].labels[0]) for i in range(7)] == [0, 1, 2, 3, 4, 5, 0]
    drawn, picture = action_frame("train", 8, size=64), frames[8]
    np.testing.assert_array_equal(picture.image, drawn.image)
    np.testing.assert_array_equal(picture.boxes, [drawn.body])
    assert picture.faces is not None
    np.testing.assert_array_equal(picture.faces, [drawn.face])


def test_duet_has_two_people_in_two_frames_of_a_clip() -> None:
    frames = load_action_frames("duet:3", side=48).of_split("train")
    assert len(frames) == 6
    clip = generate(0, "train", 1, size=48, frames=8)
    for i, at in ((2, 2), (3, 5)):
        picture = frames[i]
        np.testing.assert_array_equal(picture.image, clip.frames[at])
        np.testing.assert_array_equal(picture.boxes, clip.body[at])
        assert picture.labels.tolist() == [clip.action] * 2
        assert picture.faces is not None
        assert not np.isnan(picture.faces).any()
    assert frames.video_of(2) == frames.video_of(3) != frames.video_of(4)


@pytest.mark.parametrize("name", ["duet:6", "duet-faces:12"])
def test_splits_share_no_frame(name: str) -> None:
    frames = load_action_frames(name, side=48)
    train, test = frames.of_split("train"), frames.of_split("test")
    assert len(train) == 2 * len(test) == 12
    assert not len(frames.of_split("val"))
    assert len(sums(train)) == 12
    assert not sums(train) & sums(test)
    np.testing.assert_array_equal(frames[13].image, test[1].image)
    assert frames.video_of(0) != test.video_of(0)
    for beyond in (-1, 18):
        with pytest.raises(IndexError):
            frames[beyond]


def test_people_of_splits_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[int]] = {}
    draw = duet_faces.Person.draw
    for split in SPLITS:
        found = seen.setdefault(split, [])

        def noted(identity: int, found: list[int] = found) -> duet_faces.Person:
            found.append(identity)
            return draw(identity)

        monkeypatch.setattr(duet_faces.Person, "draw", noted)
        for index in range(40):
            action_frame(split, index, size=16)
    ranges = sorted((min(found), max(found)) for found in seen.values())
    assert ranges[0][0] >= 1_000_000
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))


def test_memory_does_not_grow_with_the_frames() -> None:
    frames = load_action_frames("duet-faces:20000", side=64).of_split("train")
    assert len(frames) == 20000
    size = frames[0].image.nbytes
    tracemalloc.start()
    for i in range(0, 20000, 500):
        frames[i]
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 40 * size / 2
