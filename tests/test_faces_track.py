"""Tracks: what is covered between, before and after detections, against hand formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.faces.detect import NONE, Detections
from unseen.faces.places import smoothed
from unseen.faces.track import Track, Tracker, merged

INTERVAL, HOLD = 0.2, 0.75


def seen(*boxes: tuple[float, float, float, float], score: float = 0.9) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(boxes), score, np.float32),
        np.zeros((len(boxes), 5, 2), np.float32),
    )


def square(x: float, y: float, side: float = 20.0) -> tuple[float, float, float, float]:
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def follow(
    detections: dict[float, Detections], *, threshold: float = 0.2, cuts: tuple[float, ...] = ()
) -> list[Track]:
    """Tracks of detections by their time, ten frames a second."""
    tracker = Tracker(threshold, INTERVAL, HOLD)
    for time in sorted({*detections, *cuts}):
        if time in cuts:
            tracker.cut(time)
        if time in detections:
            tracker.update(round(10 * time), time, detections[time])
    return tracker.tracks


def holds(outer: np.ndarray, inner: tuple[float, ...] | np.ndarray) -> bool:
    return bool((outer[:2] <= inner[:2]).all() and (outer[2:] >= inner[2:]).all())


corner, side = st.floats(-50, 200), st.floats(1, 100)


@settings(deadline=None)
@given(boxes=st.lists(st.tuples(corner, corner, side, side), min_size=1, max_size=9))
def test_smoothing_never_uncovers(boxes: list[tuple[float, ...]]) -> None:
    raw = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes])
    smooth = smoothed(raw)
    assert smooth.shape == raw.shape
    assert (smooth[:, :2] <= raw[:, :2]).all()
    assert (smooth[:, 2:] >= raw[:, 2:]).all()


def test_smoothing_takes_jitter_away() -> None:
    rng = np.random.default_rng(0)
    raw = np.array(square(100, 80, 40)) + rng.normal(0, 1.5, (200, 4))
    smooth = smoothed(raw)

    def jitter(boxes: np.ndarray) -> float:
        return float(np.abs(np.diff((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0)).mean())

    assert jitter(smooth) < 0.6 * jitter(raw)
    assert (smooth[:, 2:] - smooth[:, :2]).max() < 52
    still = np.tile(square(50, 50), (5, 1))
    np.testing.assert_allclose(smoothed(still), still)


def test_between_detections_the_box_moves_evenly_and_grows() -> None:
    (track,) = follow({0.0: seen(square(100, 50)), 1.0: seen(square(115, 50, 30))})
    for time in (0.1, 0.2, 0.4, 0.5, 0.9):
        centre, size = 100 + 15 * time, 20 + 10 * time
        grown = size + 30 * min(time, 1 - time)  # of the larger one's size
        np.testing.assert_allclose(track.box(time, INTERVAL), square(centre, 50, grown))
    np.testing.assert_allclose(track.box(1.0, INTERVAL), square(115, 50, 30))


def test_a_fast_face_is_covered_all_along_its_way() -> None:
    """Where the boxes of two looks do not even touch, everything between them is covered."""
    (track,) = follow({0.0: seen(square(100, 50)), 0.2: seen(square(150, 60, 30))})
    for time in (0.05, 0.1, 0.19):
        np.testing.assert_allclose(track.box(time, INTERVAL), (90, 40, 165, 75))
    np.testing.assert_allclose(track.box(0.2, INTERVAL), square(150, 60, 30))
    for time in (-0.1, 0.0, 0.1, 0.2, 0.5):
        assert track.size(time).tolist() == ([20, 20] if time <= 0 else [30, 30])


def test_a_wrong_detection_does_not_pull_the_box_away() -> None:
    """The face goes on to the right; what is found next, at the place before, is something else."""
    found = {k / 5: seen(square(100 + 16 * k, 50)) for k in range(4)} | {0.8: seen(square(145, 50))}
    (track,) = follow(found)
    for time in (0.65, 0.7, 0.75):
        assert holds(track.box(time, INTERVAL), square(100 + 80 * time, 50, 16))


def test_before_and_after_it_stays_and_goes_on_and_grows() -> None:
    track = follow({1.0: seen(square(100, 50)), 1.2: seen(square(104, 50))})[0]
    assert track.span(HOLD) == (0.25, 1.95)
    # 20 pixels a second; after 0.3 s nobody knows.
    np.testing.assert_allclose(track.box(1.4, INTERVAL), (94, 40, 118, 60))
    later = track.box(1.7, INTERVAL)
    # By the face's own size, although the box holds more than one place.
    np.testing.assert_allclose(later, (94 - 3, 40 - 3, 120 + 3, 60 + 3))
    np.testing.assert_allclose(track.box(0.8, INTERVAL), (86, 40, 110, 60))
    alone = follow({1.0: seen(square(100, 50))})[0]
    np.testing.assert_allclose(alone.box(1.5, INTERVAL), square(100, 50, 26))
    np.testing.assert_allclose(alone.box(0.5, INTERVAL), square(100, 50, 26))


def test_two_faces_that_pass_each_other_are_two_tracks() -> None:
    detections = {
        k / 10: seen(square(50 + 10 * k, 60), square(250 - 10 * k, 100)) for k in range(20)
    }
    tracks = follow(detections)
    assert [len(track.times) for track in tracks] == [20, 20]
    assert all(np.diff([box[0] for box in tracks[0].boxes]) > 0)
    assert all(np.diff([box[0] for box in tracks[1].boxes]) < 0)


def test_a_face_that_was_missed_for_a_while_is_the_same() -> None:
    (track,) = follow({t: seen(square(100 + 30 * t, 50)) for t in (0.0, 0.2, 1.6, 1.8)})
    for time in np.arange(0, 1.81, 0.05):
        assert holds(track.box(float(time), INTERVAL), square(100 + 30 * time, 50, 19.9))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(square(250, 50), id="elsewhere"),
        pytest.param(square(100, 50, 60), id="of another size"),
    ],
)
def test_what_cannot_be_the_same_face(other: tuple[float, float, float, float]) -> None:
    tracks = follow({0.0: seen(square(100, 50)), 0.2: seen(other)})
    assert [len(track.times) for track in tracks] == [1, 1]


@pytest.mark.parametrize("missed", [8, 9, 10])
@pytest.mark.parametrize("between", [0.1, 0.2, 0.5, 2.0])
def test_after_two_seconds_and_ten_looks_without_it_a_face_is_another(
    missed: int, between: float
) -> None:
    last = (missed + 1) * between
    looks = dict.fromkeys(between * np.arange(missed + 1), NONE)
    face = seen(square(100, 50))
    tracks = follow(looks | {0.0: face, last: face})
    assert len(tracks) == (1 if last <= 2.0 or missed < 10 else 2)


def test_weak_detections_only_continue() -> None:
    weak = seen(square(101, 50), square(200, 90), score=0.15)
    tracks = follow({0.0: weak, 0.2: seen(square(100, 50)), 0.4: weak})
    assert [track.times for track in tracks] == [[0.2, 0.4]]


def test_weak_detections_far_away_are_not_the_same() -> None:
    """A strong one may be further away: a face that moves fast."""
    for score, continued in ((0.15, False), (0.9, True)):
        tracks = follow({0.0: seen(square(100, 50)), 0.2: seen(square(150, 50), score=score)})
        assert (len(tracks[0].times) == 2) == continued


def test_a_weak_detection_takes_no_cover_away() -> None:
    """A face leaves to the left; something to its right is weakly taken for it."""
    face = {0.1 * i: seen(square(40 - 10 * i, 50)) for i in range(4)}
    wrong = {0.1 * i: seen(square(36, 50), score=0.15) for i in range(4, 8)}
    (left,) = follow(face)
    (led_astray,) = follow(face | wrong)
    assert len(led_astray.times) == 8
    for time in np.linspace(0, 0.3 + HOLD, 40):
        box = led_astray.box(time, INTERVAL, hold=HOLD)
        assert holds(box, left.box(time, INTERVAL))
    assert holds(led_astray.box(0.5, INTERVAL, hold=HOLD), square(36, 50))
    tracker = Tracker(0.2, INTERVAL, HOLD)
    for time, found in (face | wrong).items():
        tracker.update(round(10 * time), time, found)
    for time in (0.7, 1.0):
        ((_, box),) = tracker.now(time, enlarge=1)
        assert holds(box, square(10, 50))
        assert holds(box, square(36, 50))
    ((_, box),) = tracker.now(0.3 + HOLD + 0.01, enlarge=1)
    assert not holds(box, square(10, 50))


times_and_places = st.dictionaries(
    st.integers(1, 40),
    st.tuples(st.floats(-15, 15), st.floats(0.6, 1.6), st.booleans()),
    max_size=20,
)


@settings(deadline=None)
@given(found=times_and_places)
def test_weak_detections_only_ever_add(found: dict[int, tuple[float, float, bool]]) -> None:
    """Whatever is covered by the strong detections of a track is covered with the weak ones too."""
    strong, both = Track(0, (0, 9), 0.2), Track(0, (0, 9), 0.2)
    for frame, (away, larger, weak) in sorted({0: (0.0, 1.0, False), **found}.items()):
        one = seen(square(100 + away, 50, 20 * larger), score=0.15 if weak else 0.9)
        both.add(frame, frame / 10, one, 0)
        if not weak:
            strong.add(frame, frame / 10, one, 0)
    times = np.array([*strong.times, np.inf])
    for time in np.arange(0, 41) / 10:
        last, following = times[times <= time][-1], times[times > time][0]
        if following - last <= 2 or (following == np.inf and time <= last + HOLD):
            assert holds(both.box(time, INTERVAL, hold=HOLD), strong.box(time, INTERVAL))


def test_what_is_seen_elsewhere_after_long_is_not_the_same() -> None:
    """Within half a second a face may be three of its sizes away, after a second it may not."""
    for gap, continued in ((0.5, True), (1.0, False)):
        tracks = follow({0.0: seen(square(100, 50)), gap: seen(square(160, 50))})
        assert (len(tracks[0].times) == 2) == continued


def test_a_closer_look_at_a_frame_replaces_a_glance() -> None:
    tracker = Tracker(0.2, INTERVAL, HOLD)
    tracker.update(0, 0.0, seen(square(100, 50)))
    tracker.update(2, 0.2, seen(square(104, 50)))
    tracker.update(2, 0.2, seen(square(103, 50), square(30, 80), score=0.7))
    first, second = tracker.tracks
    assert (first.frames, first.times) == ([0, 2], [0.0, 0.2])
    assert first.scores[1] == pytest.approx(0.7)
    np.testing.assert_array_equal(first.boxes[1], square(103, 50))
    assert len(first.landmarks) == 2
    assert second.frames == [2]


def test_a_weak_closer_look_takes_no_cover_away() -> None:
    """Something weak beside a face that only the glance saw is not where the face is."""
    tracker = Tracker(0.2, INTERVAL, HOLD)
    tracker.update(5, 0.2, seen(square(160, 50)))
    tracker.update(5, 0.2, seen(square(152, 50), score=0.12))
    (track,) = tracker.tracks
    times, boxes = track.sure()
    assert times == [0.2]
    np.testing.assert_array_equal(boxes, [square(160, 50)])
    box = track.box(0.2, INTERVAL, 5, HOLD)
    assert holds(box, square(160, 50))
    assert holds(box, square(152, 50))


def test_two_frames_in_a_row_tell_little_of_the_speed() -> None:
    """Within 60 ms, 2 pixels of jitter are not 33 pixels a second but 20."""
    (track,) = follow({0.0: seen(square(100, 50)), 0.06: seen(square(102, 50))})
    np.testing.assert_allclose(track.box(0.26, INTERVAL), (92, 40, 116, 60))
    (track,) = follow({t: seen(square(100 + 100 * t, 50)) for t in (0.0, 0.06, 0.15)})
    np.testing.assert_allclose(track.box(0.25, INTERVAL)[2], 135, atol=0.1)


def test_what_was_found_before_belongs_to_the_nearest_and_to_no_other_face() -> None:
    tracker = Tracker(0.2, INTERVAL, HOLD)
    tracker.update(0, 0.0, seen(square(100, 80)))
    old, new = tracker.update(6, 0.6, seen(square(100, 80), square(160, 80)))
    assert not tracker.extend(new, 5, 0.5, NONE)
    assert not tracker.extend(new, 5, 0.5, seen(square(100, 80)))  # that of the other
    assert not tracker.extend(new, 5, 0.5, seen(square(400, 80)))  # too far
    assert not tracker.extend(new, 5, 0.5, seen(square(125, 80), score=0.15))  # too far to be sure
    assert new.frames == [6]
    assert tracker.restless([old, new])
    assert tracker.extend(new, 5, 0.5, seen(square(230, 80), square(140, 75, 22), square(100, 80)))
    assert tracker.extend(new, 4, 0.4, seen(square(120, 70), score=0.15))
    assert (new.frames, new.times) == ([4, 5, 6], [0.4, 0.5, 0.6])
    assert [tuple(box) for box in new.boxes] == [
        square(120, 70), square(140, 75, 22), square(160, 80),
    ]  # fmt: skip
    assert new.scores == pytest.approx([0.15, 0.9, 0.9])
    assert new.moves(0)
    assert not old.moves(0)
    # It goes on from there, backwards in time too.
    assert holds(new.box(0.3, INTERVAL), square(100, 65))
    assert tracker.restless([new])
    assert not tracker.restless([old])


def test_nothing_reaches_across_a_cut() -> None:
    still = seen(square(100, 50))
    before, after = follow({0.0: still, 0.5: still, 0.6: still, 1.0: still}, cuts=(0.6,))
    assert before.times == [0.0, 0.5]
    assert before.span(HOLD)[1] < 0.6
    assert before.span(HOLD)[1] == pytest.approx(0.6)
    assert after.span(HOLD) == (0.6, 1.75)
    last = follow({0.0: still, 2.0: still}, cuts=(0.1, 0.3))
    assert [track.span(HOLD) for track in last][1] == (1.25, 2.75)


def test_duplicates_are_merged() -> None:
    tracker = Tracker(0.2, INTERVAL, HOLD)
    for k in range(10):
        boxes = [square(100 + k, 50, 40)]
        if 3 <= k < 7:
            boxes += [square(104 + k, 52, 18), square(200, 52, 18)]
        tracker.update(k, k / 10, seen(*boxes))
    assert len(tracker.tracks) == 3
    assert [track.id for track in merged(tracker.tracks, INTERVAL)] == [0, 2]
    # Longer than the other: neither may go.
    alone = follow({k / 10: seen(square(100, 50, 40)) for k in range(5)})
    alone += follow({k / 10: seen(square(100, 50, 40)) for k in range(3, 9)})
    alone[1].id = 1
    assert len(merged(alone, INTERVAL)) == 2


def test_what_would_stick_out_of_the_cover_is_no_duplicate() -> None:
    """Four fifths of the second lie inside the first, its right side does not."""
    tracker = Tracker(0.2, INTERVAL, HOLD)
    for k in range(4):
        tracker.update(k, k / 10, seen(square(100, 50, 40), square(112, 50, 30)))
    assert len(tracker.tracks) == 2
    # From 80 to 120, and to 127: covered from 1.35 times on.
    assert len(merged(tracker.tracks, INTERVAL, 1.4)) == 1
    assert len(merged(tracker.tracks, INTERVAL, 1.3)) == 2


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_a_camera_that_forgets_covers_the_same(seed: int) -> None:
    """Faces that come, jitter, weaken and go, with cuts, some of which are undone."""
    rng = np.random.default_rng(seed)
    whole = Tracker(0.2, INTERVAL, HOLD)
    short = Tracker(0.2, INTERVAL, HOLD, forget=True)
    people: list[np.ndarray] = []
    cuts: list[int] = []
    time = 0.0
    for frame in range(150):
        time += float(rng.choice([0.05, 0.2, 0.7]))
        if rng.random() < 0.05:
            people.append(rng.uniform(0, 300, 2))
        if people and rng.random() < 0.04:
            del people[0]
        cuts = [cut for cut in cuts if frame - cut <= 12]
        if rng.random() < 0.03:
            cuts.append(frame)
            for tracker in (whole, short):
                tracker.cut(time)
        elif cuts and rng.random() < 0.1:
            cuts.pop()
            for tracker in (whole, short):
                tracker.undo_cut()
        people = [place + rng.normal(0, 3, 2) for place in people]
        there = [place for place in people if rng.random() < 0.8]
        found = seen(*(square(*place) for place in there), score=float(rng.choice([0.15, 0.9])))
        for tracker in (whole, short):
            tracker.update(frame, time, found)
        later = time + float(rng.uniform(0, 1.2))
        for (one, box), (other, same) in zip(whole.now(later), short.now(later), strict=True):
            assert one == other
            np.testing.assert_array_equal(box, same)
        assert whole.lost(frame, time) == short.lost(frame, time)


def test_a_camera_may_run_for_days() -> None:
    tracker = Tracker(0.2, INTERVAL, HOLD, forget=True)
    for look in range(1000):
        found = seen(square(100 + look % 3, 50), square(300 + 400 * (look // 40), 50))
        tracker.update(look, look / 5, found)
        if look % 50 == 0:
            tracker.cut(look / 5 + 0.1)
    assert len(tracker.tracks) < 40
    assert max(len(track.times) for track in tracker.tracks) <= 5
    assert len(tracker._seen) < 40
    assert len(tracker._ended) <= 12


def test_what_was_lost_since_the_last_look() -> None:
    tracker = Tracker(0.2, INTERVAL, HOLD)
    tracker.update(0, 0.0, seen(square(100, 50), square(200, 50)))
    assert not tracker.lost(0, 0.0)
    tracker.update(2, 0.2, seen(square(100, 50)))
    assert tracker.lost(2, 0.2)
    tracker.update(3, 0.3, seen(square(100, 50)))
    assert not tracker.lost(3, 0.3)  # it is gone
    tracker.update(4, 0.4, seen(square(100, 50), score=0.15))
    assert not tracker.lost(4, 0.4)
    tracker.update(6, 0.6, seen())
    assert not tracker.lost(6, 0.6)  # it was hardly believed any more
    tracker.update(7, 0.7, seen(square(100, 50)))
    tracker.cut(0.8)
    assert not tracker.lost(8, 0.8)


def test_a_camera_knows_no_future() -> None:
    tracker = Tracker(0.2, INTERVAL, HOLD)
    assert tracker.now(0.0) == []
    tracker.update(0, 0.0, seen(square(100, 50)))
    tracker.update(2, 0.2, seen(square(104, 50)))
    tracker.update(4, 0.4, seen())
    ((number, box),) = tracker.now(0.3, enlarge=1)
    assert number == 0
    np.testing.assert_allclose(box, (94, 40, 116, 60))
    np.testing.assert_allclose(tracker.now(0.3)[0][1], (87.4, 34, 122.6, 66))  # as in Ren18 5.2
    areas = [np.prod(b[2:] - b[:2]) for t in (0.4, 0.6, 0.9) for _, b in tracker.now(t)]
    assert areas == sorted(areas)
    assert len(set(areas)) == 3
    assert tracker.now(0.2 + HOLD + 0.01) == []
    tracker.update(10, 1.0, seen(square(108, 50)))
    assert [number for number, _ in tracker.now(1.0)] == [0]
    tracker.cut(1.1)
    assert tracker.now(1.1) == []


def test_a_camera_covers_a_lost_face_for_as_long_as_it_was_told() -> None:
    tracker = Tracker(0.2, INTERVAL, 5.0)
    tracker.update(0, 0.0, seen(square(100, 50)))
    tracker.update(30, 3.0, seen())
    assert [number for number, _ in tracker.now(4.9)] == [0]
    assert tracker.now(5.1) == []
