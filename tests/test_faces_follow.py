"""Faces found again by their picture: where a textured patch was really put."""

import numpy as np
import pytest

from face_clips import background, place
from unseen.faces.detect import Detections
from unseen.faces.follow import Follower
from unseen.faces.track import Track, Tracker
from video_files import Images

SIZE = 48


def patch(side: int = SIZE) -> np.ndarray:
    """Random blocks: like nothing else, and recognisable when reduced."""
    cells = np.random.default_rng(5).integers(0, 256, (6, 6, 3))
    return cells.repeat(side // 6, 0).repeat(side // 6, 1).astype(np.uint8)


def clip(places: list[tuple[int, int] | None], height: int = 160, width: int = 256) -> Images:
    """The patch with its corner at these places (None: not there)."""
    images = []
    for at in places:
        image = background(0, height, width)
        if at is not None:
            x, y = at
            seen = patch()[: height - y, max(-x, 0) : width - x]
            image[y : y + seen.shape[0], max(x, 0) : max(x, 0) + seen.shape[1]] = seen
        images.append(image)
    return np.stack(images)


def boxed(x: float, y: float) -> np.ndarray:
    return np.array([x, y, x + SIZE, y + SIZE], np.float64)


def detection(x: float, y: float) -> Detections:
    return Detections(
        boxed(x, y)[None].astype(np.float32),
        np.ones(1, np.float32),
        np.zeros((1, 5, 2), np.float32),
    )


def follow(
    images: Images, seen: dict[int, tuple[int, int]], cut: int = -1, reach: float = 9.0
) -> list[Track]:
    """Tracks of a clip of ten frames a second in which the patch was detected in some frames."""
    tracker, follower = Tracker(0.2, 0.1, 0.75), Follower(reach)
    for frame, image in enumerate(images):
        if frame == cut:
            tracker.cut(frame / 10)
            follower.cut()
        follower.add(frame, frame / 10, image)
        if frame in seen:
            follower.detected(tracker.update(frame, frame / 10, detection(*seen[frame])))
    return tracker.tracks


def circle(frames: int) -> list[tuple[int, int] | None]:
    """Round and round, further in a frame than between its ends."""
    angles = np.linspace(0, 4 * np.pi, frames)
    return [(round(100 + 40 * np.cos(a)), round(50 + 40 * np.sin(a))) for a in angles]


def test_a_very_thin_picture_is_no_fault() -> None:
    """A side of less than a pixel, once it is made small to follow faces in it."""
    Follower(1.0).add(0, 0.0, np.zeros((1, 3_000_000, 3), np.uint8))


def test_it_is_followed_on_any_way_in_both_directions() -> None:
    places = circle(31)
    (track,) = follow(clip(places), {15: places[15]})  # type: ignore[dict-item]
    assert sorted(track.followed) == [k for k in range(31) if k != 15]
    for frame, at in enumerate(places):
        assert at is not None
        box = track.box(frame / 10, 0.1, frame)
        assert (box[:2] <= np.array(at) + 2).all()
        assert (box[2:] >= np.array(at) + SIZE - 2).all()
        if frame in track.followed:
            np.testing.assert_allclose(track.followed[frame], boxed(*at), atol=2)


def test_between_two_detections_the_later_looks_back() -> None:
    places = circle(12)
    places[4] = None  # hidden: forward it is lost there
    (track,) = follow(clip(places), {1: places[1], 9: places[9]})  # type: ignore[dict-item]
    assert sorted(track.followed) == [0, 2, 3, 5, 6, 7, 8, 10, 11]
    for frame, box in track.followed.items():
        np.testing.assert_allclose(box, boxed(*places[frame]), atol=2)  # type: ignore[misc]


@pytest.mark.parametrize("scale", [1, 4])
def test_large_frames_are_reduced(scale: int) -> None:
    places = [(40 + 12 * k, 60 + 6 * k) for k in range(6)]
    images = clip(list(places)).repeat(scale, 1).repeat(scale, 2)
    tracker, follower = Tracker(0.2, 0.1, 0.75), Follower(1.0)
    for frame, image in enumerate(images):
        follower.add(frame, frame / 10, image)
        if frame == 0:
            found = detection(*places[0]).scaled(scale)
            follower.detected(tracker.update(frame, 0.0, found))
    (track,) = tracker.tracks
    for frame in range(1, 6):
        np.testing.assert_allclose(
            track.followed[frame], scale * boxed(*places[frame]), atol=2 * scale
        )


def test_what_is_partly_outside_keeps_its_size() -> None:
    places: list[tuple[int, int] | None] = [(-16 + 4 * k, 50) for k in range(8)]
    (track,) = follow(clip(places), {0: (-16, 50)})
    for frame in range(1, 8):
        np.testing.assert_allclose(track.followed[frame], boxed(-16 + 4 * frame, 50), atol=2)


def test_nothing_is_followed_across_a_cut_nor_for_ever() -> None:
    places: list[tuple[int, int] | None] = [(100, 50)] * 12
    before, after = follow(clip(places), {2: (100, 50), 8: (100, 50)}, cut=5)
    assert sorted(before.followed) == [0, 1, 3, 4]
    assert sorted(after.followed) == [5, 6, 7, 9, 10, 11]
    (track,) = follow(clip(places), {5: (100, 50)}, reach=0.35)
    assert sorted(track.followed) == [2, 3, 4, 6, 7, 8]


def test_what_is_gone_or_cannot_be_recognised_is_not_followed() -> None:
    gone: list[tuple[int, int] | None] = [(100, 50), (104, 52), None, (112, 56)]
    (track,) = follow(clip(gone), {0: (100, 50)})
    assert list(track.followed) == [1]
    flat = np.full((4, 160, 256, 3), 90, np.uint8)
    (track,) = follow(flat, {0: (100, 50)})
    assert track.followed == {}
    (track,) = follow(clip(gone), {0: (-SIZE + 2, 50)})  # nearly all of it outside
    assert track.followed == {}


def test_what_was_followed_is_covered_and_where_the_face_is_found() -> None:
    """The head goes up and down between two looks, as of one who jumps."""
    images, truth = [], []
    for k in range(11):
        image = background(3)
        truth.append(place(image, 90, 55 - 45 * np.sin(np.pi * k / 10), 0.4))
        images.append(image)

    def seen(frame: int) -> Detections:
        face = truth[frame].astype(np.float32)[None]
        return Detections(face, np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))

    tracker, follower = Tracker(0.2, 0.4, 0.75), Follower(1.0)
    for frame, image in enumerate(images):
        follower.add(frame, frame / 25, image)
        if frame in (0, 10):
            follower.detected(tracker.update(frame, frame / 25, seen(frame)))
    (track,) = tracker.tracks
    middle = truth[5]
    assert not (track.box(5 / 25, 0.4)[1] <= middle[1])  # by the detections alone it is missed
    for frame, face in enumerate(truth):
        box = track.box(frame / 25, 0.4, frame)
        assert (box[:2] <= face[:2] + 3).all(), frame
        assert (box[2:] >= face[2:] - 3).all(), frame
    # A detection at where it was followed to is the same face; one at where it was, another.
    assert tracker.update(11, 11 / 25, seen(0))[0] is track


def test_a_detection_is_worth_more_than_what_was_followed() -> None:
    places = [(60, 50), (70, 50), (80, 50)]
    (track,) = follow(clip(list(places)), {0: (60, 50), 1: (76, 50), 2: (80, 50)})
    assert 1 not in track.followed
    assert track.frames == [0, 1, 2]
