"""From single detections to faces that are followed: nothing uncovered between, before and after.

A detector misses faces in single frames, and it does not look at every frame. Detections that
belong together become a track; a track covers the frames between its detections, and some time
before the first and after the last, with a margin that grows with the time since the last look, and
wherever the face was found again by its picture (`unseen.faces.follow`). Nothing reaches across a
scene cut. Weak detections, which may be of something else, add to what is covered: what would be
covered without them stays so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float32

from unseen.faces.detect import Detections

# A track that found nothing for so many seconds has ended.
_PATIENCE = 2.0
# How far a face may have gone, in its own sizes: at once, and for each second; and at most.
_REACH, _SPEED, _FURTHEST = 1.0, 12.0, 4.0
# The same for detections too weak to begin a track, and for all after so many seconds without one:
# what is seen elsewhere then is more likely another face, or none.
_NEAR_REACH, _LONG = 1.5, 0.8
# Two detections of one face differ in size by less than this factor.
_RESIZED = 2.0
# By how much of its size a box grows for each second since the last look.
_GROWTH = 1.0
# How long a face that went out of sight is taken to go on as it did, in seconds.
_INERTIA = 0.3
# How far apart detections must be in time to tell how fast a face is, in seconds.
_APART = 0.1
# A track is a duplicate when so much of it lies inside another one all along.
_INSIDE = 0.7

Box = Float[np.ndarray, " 4"]
Boxes: TypeAlias = Sequence[Box] | Float[np.ndarray, "detections 4"]


@dataclass
class Track:
    """One face, as it was detected.

    Attributes:
        id: counted from 0.
        scene: when the scene begins and ends in which it lies, in seconds.
        threshold: detections with a lower score are weak.
        frames, times: of the detections, in order: frame numbers from 0, and seconds.
        boxes: `(4,)` each, in pixels.
        scores: of the detector.
        landmarks: `(5, 2)` each, in pixels.
        followed: by frame, boxes in which the face was found again by its picture.
    """

    id: int
    scene: tuple[float, float]
    threshold: float = 0.0
    frames: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    landmarks: list[Float32[np.ndarray, "5 2"]] = field(default_factory=list)
    followed: dict[int, Box] = field(default_factory=dict)

    def add(self, frame: int, time: float, found: Detections, which: int) -> None:
        """Append detection number `which` of a frame; a closer look replaces a glance."""
        if self.frames[-1:] == [frame]:
            for values in (self.frames, self.times, self.boxes, self.scores, self.landmarks):
                del values[-1]
        self.frames.append(frame)
        self.times.append(time)
        self.boxes.append(found.boxes[which].astype(np.float64))
        self.scores.append(float(found.scores[which]))
        self.landmarks.append(found.landmarks[which])
        self.followed.pop(frame, None)

    def follow(self, frame: int, box: Box) -> None:
        """The face was found in a frame by its picture; what was found there before counts too."""
        there = self.followed.get(frame, box)
        self.followed[frame] = _around([there, box])

    @cached_property
    def smooth(self) -> Float[np.ndarray, "detections 4"]:
        """The boxes without their jitter, each still holding the detected one."""
        return smoothed(np.stack(self.boxes))

    def sure(self) -> tuple[list[float], list[Box]]:
        """When and where it was detected strongly."""
        strong = [which for which, score in enumerate(self.scores) if score >= self.threshold]
        return [self.times[which] for which in strong], [self.boxes[which] for which in strong]

    @cached_property
    def _sure(self) -> tuple[list[float], list[Box], Float[np.ndarray, "detections 4"]]:
        """The same, once all is known, and the boxes without their jitter."""
        times, boxes = self.sure()
        return times, boxes, smoothed(np.reshape(boxes, (-1, 4)))

    def span(self, hold: float) -> tuple[float, float]:
        """From when to when it covers, in seconds."""
        return max(self.times[0] - hold, self.scene[0]), min(self.times[-1] + hold, self.scene[1])

    def box(self, time: float, interval: float, frame: int = -1, hold: float = 0.0) -> Box:
        """Where the face may be at a time within its span.

        Args:
            time: in seconds.
            interval: seconds between two looks: within them the box does not grow.
            frame: its number, where there may be more to know than what was detected.
            hold: as long as this it may be where its strong detections alone say, though weak
                ones say otherwise, in seconds.
        """
        places = [expected(self.times, self.boxes, self.smooth, time, interval)]
        there = self.followed.get(frame)
        if there is not None and not _apart(there, places[0]):
            places.append(there)
        return _around([*places, *self._surely(time, interval, hold)])

    def size(self, time: float) -> Float[np.ndarray, " 2"]:
        """Width and height of the face at a time, by the detections before and after it.

        `box` may be much larger: it holds all the places where the face may be.
        """
        known = ((self.times, self.smooth), (self._sure[0], self._sure[2]))
        near = []
        for times, boxes in known:
            after = int(np.searchsorted(times, time))
            near += [*boxes[max(0, after - 1) : after + 1]]
        return _largest(near)

    def _surely(self, time: float, interval: float, hold: float) -> list[Box]:
        """Where it may be by its strong detections alone, if that may be elsewhere.

        Between two of them, and for `hold` seconds beyond each where they are far apart.
        """
        times, boxes, smooth = self._sure
        if len(times) == len(self.times):
            return []
        after = int(np.searchsorted(times, time))
        parts = [slice(after), slice(after, None)]
        if 0 < after < len(times) and times[after] - times[after - 1] <= _PATIENCE:
            parts, hold = [slice(None)], _PATIENCE
        return [
            expected(times[part], boxes[part], smooth[part], time, interval)
            for part in parts
            if any(abs(time - one) <= hold for one in times[part])
        ]


def expected(
    times: Sequence[float],
    detected: Sequence[Box],
    smooth: Float[np.ndarray, "detections 4"],
    time: float,
    interval: float,
) -> Box:
    """Where a face may be at a time by some detections, given also without their jitter."""
    after = int(np.searchsorted(times, time))
    if after < len(times) and times[after] == time:
        exact: Box = smooth[after]
        return exact
    if 0 < after < len(times):
        return between(smooth, detected, times, after, time, interval)
    return beyond(smooth, times, time, interval)


def smoothed(boxes: Float[np.ndarray, "detections 4"]) -> Float[np.ndarray, "detections 4"]:
    """Centres averaged over a detection and its neighbours, sizes the largest of them.

    Whatever comes out holds the box that went in. The first and the last keep their centre.
    """
    if len(boxes) < 3:
        return boxes
    centres, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    mean, most = centres.copy(), halves.copy()
    mean[1:-1] = (centres[:-2] + centres[1:-1] + centres[2:]) / 3
    most[1:] = np.maximum(most[1:], halves[:-1])
    most[:-1] = np.maximum(most[:-1], halves[1:])
    low, high = np.minimum(mean - most, boxes[:, :2]), np.maximum(mean + most, boxes[:, 2:])
    return np.concatenate([low, high], 1)


def _largest(boxes: Boxes) -> Float[np.ndarray, " 2"]:
    """The largest width and the largest height of some boxes."""
    sizes: Float[np.ndarray, " 2"] = np.max([box[2:] - box[:2] for box in boxes], axis=0)
    return sizes


def enlarged(box: Box, times: float, of: Float[np.ndarray, " 2"] | None = None) -> Box:
    """A box so many times as large about its centre; or by so much of another size `of`."""
    margin = (times - 1) / 2 * (box[2:] - box[:2] if of is None else of)
    return np.concatenate([box[:2] - margin, box[2:] + margin])


def grown(box: Box, seconds: float, size: Float[np.ndarray, " 2"]) -> Box:
    """A box of places enlarged for the time since the last look, if any, by the face's own size."""
    more = max(0.0, seconds) * _GROWTH / 2 * size
    return np.concatenate([box[:2] - more, box[2:] + more])


def between(
    boxes: Float[np.ndarray, "detections 4"],
    detected: Sequence[Box],
    times: Sequence[float],
    after: int,
    time: float,
    interval: float,
) -> Box:
    """Where a face may be between two detections, the second of which is number `after`.

    The box on the straight way, or, where the two boxes do not touch, all between them: a fast face
    need not have moved evenly. It also holds where the face would be, had it gone on as before the
    first, or come as after the second. It grows where a look in between found nothing.
    """
    before = after - 1
    since, until = time - times[before], times[after] - time
    part = since / (since + until)
    low = np.minimum(boxes[before], boxes[after])
    high = np.maximum(boxes[before], boxes[after])
    places = [(1 - part) * boxes[before] + part * boxes[after]]
    if (low[2:] < high[:2]).any():
        places = [low, high]
    for one, step, away in ((before, -1, since), (after, 1, -until)):
        # Of the boxes as they were detected: smoothing slows down what turns or stops.
        speed = _speed(detected, times, one, step)
        if speed is not None:
            places.append(boxes[one] + np.tile(speed * np.clip(away, -_INERTIA, _INERTIA), 2))
    lost = min(since, until) if since + until > 1.5 * interval else 0.0
    return grown(_around(places), lost, _largest(boxes[before : after + 1]))


def _apart(there: Box, box: Box) -> bool:
    """Whether a face cannot have got from one box to the other: its picture led elsewhere."""
    moved = (there[:2] + there[2:] - box[:2] - box[2:]) / 2
    return bool(np.hypot(*moved) > _FURTHEST * np.sqrt(np.prod(there[2:] - there[:2])))


def _around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds them all."""
    return np.concatenate([np.min(boxes, 0)[:2], np.max(boxes, 0)[2:]])


def beyond(boxes: Boxes, times: Sequence[float], time: float, interval: float) -> Box:
    """Where a face may be before the first or after the last of its detections.

    The box holds where it was last and where it would be, had it gone on; and it grows.
    """
    nearest, step = (0, 1) if time < times[0] else (len(times) - 1, -1)
    away = time - times[nearest]
    speed = _speed(boxes, times, nearest, step)
    places = [boxes[nearest]]
    if speed is not None:
        places.append(places[0] + np.tile(speed * np.clip(away, -_INERTIA, _INERTIA), 2))
    return grown(_around(places), abs(away) - interval, _largest([boxes[nearest]]))


def _speed(
    boxes: Boxes, times: Sequence[float], at: int, step: int
) -> Float[np.ndarray, " 2"] | None:
    """Pixels a second at a detection, judged by those before it (`step` -1) or after it (1).

    By the nearest that is far enough in time: of two frames in a row jitter makes most of it. None
    where there is no other detection.
    """
    other = at
    while 0 <= other + step < len(times) and abs(times[at] - times[other]) < _APART:
        other += step
    if other == at:
        return None
    moved = boxes[at][:2] + boxes[at][2:] - boxes[other][:2] - boxes[other][2:]
    apart = max(abs(times[at] - times[other]), _APART)
    speed: Float[np.ndarray, " 2"] = -step * moved / 2 / apart
    return speed


class Tracker:
    """Puts detections into tracks, frame by frame: the same for files and for cameras.

    Detections of at least `threshold` begin a track; weaker ones only continue one.

    Args:
        threshold: the least score of a face.
        interval: seconds between two looks.
        hold: how long a face is covered before its first and after its last detection, in seconds.
    """

    def __init__(self, threshold: float, interval: float, hold: float) -> None:
        self.threshold, self.interval, self.hold = threshold, interval, hold
        self.tracks: list[Track] = []
        self._open: list[Track] = []
        self._begin = -np.inf

    def cut(self, time: float) -> None:
        """A new scene begins at `time`: all tracks have ended."""
        for track in self.tracks:
            if track.scene == (self._begin, np.inf):
                track.scene = (self._begin, float(np.nextafter(time, -np.inf)))
        self._begin = time
        self._open = []

    def update(self, frame: int, time: float, found: Detections) -> list[Track]:
        """Take in what was found in a frame; frames come in order, not all need to come.

        Returns:
            the tracks that were detected in this frame.
        """
        self._open = [track for track in self._open if time - track.times[-1] <= _PATIENCE]
        free = set(range(len(found)))
        pairs = [
            (distance, track.id, track, which)
            for track in self._open
            for which, distance in enumerate(_distances(track, time, found, self.threshold))
            if distance <= 1
        ]
        taken: dict[int, Track] = {}
        for _, _, track, which in sorted(pairs, key=lambda pair: pair[:2]):
            if which in free and track.id not in taken:
                free.remove(which)
                taken[track.id] = track
                track.add(frame, time, found, which)
        for which in sorted(free):
            if found.scores[which] >= self.threshold:
                track = Track(len(self.tracks), (self._begin, np.inf), self.threshold)
                track.add(frame, time, found, which)
                self.tracks.append(track)
                self._open.append(track)
                taken[track.id] = track
        return list(taken.values())

    def lost(self, frame: int, time: float) -> bool:
        """Whether a face that was believed a look ago was not found in the last frame."""
        since = time - 1.01 * self.interval  # times are rounded
        return any(
            track.frames[-1] != frame
            and track.times[-1] >= since
            and track.scores[-1] >= self.threshold
            for track in self._open
        )

    def now(self, time: float, enlarge: float = 1.6) -> list[tuple[int, Box]]:
        """For cameras: the boxes to cover at `time`, not before the last update, and their tracks.

        Nothing is known of later frames: a face is covered from its first detection on, and where
        it was missed, for `hold` seconds at the place where it was last, with a growing margin.

        Args:
            time: in seconds.
            enlarge: how many times the boxes are covered (1.6 in Ren18 5.2).
        """
        shown = []
        for track in self.tracks:
            known = [(track.times, track.boxes), track.sure()]
            places = [
                beyond(boxes, times, time, self.interval)
                for times, boxes in known
                if track.scene[1] >= time and times and time <= times[-1] + self.hold
            ]
            if places:
                shown.append((track.id, enlarged(_around(places), enlarge)))
        return shown


def _distances(
    track: Track, time: float, found: Detections, threshold: float
) -> Float[np.ndarray, " faces"]:
    """How far each detection is from where the track may be; above 1: not the same face.

    Weak detections are often none: far away they would lead a track astray.
    """
    last, away = track.boxes[-1], time - track.times[-1]
    centre, size = (last[:2] + last[2:]) / 2, float(np.sqrt(np.prod(last[2:] - last[:2])))
    places = [centre]
    speed = _speed(track.boxes, track.times, len(track.times) - 1, -1)
    if speed is not None:
        places += [centre + speed * min(away, _INERTIA), centre + speed * away]
    latest = next(reversed(track.followed), -1)
    if latest > track.frames[-1] and not _apart(track.followed[latest], last):
        places.append((track.followed[latest][:2] + track.followed[latest][2:]) / 2)
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    sizes = np.sqrt(np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1))
    far = np.min([np.linalg.norm(centres - place, axis=1) for place in places], axis=0)
    usual = _NEAR_REACH if away > _LONG else min(_REACH + _SPEED * away, _FURTHEST)
    reach = np.where(found.scores < threshold, _NEAR_REACH, usual)
    distance = far / (np.sqrt(size * sizes) * reach)
    ratio = sizes / size
    distance[(ratio > _RESIZED) | (ratio < 1 / _RESIZED)] = np.inf
    return np.asarray(distance, np.float64)


def merged(tracks: Sequence[Track], interval: float) -> list[Track]:
    """The tracks without those that another one covers all along: duplicates of one face."""
    longest = sorted(tracks, key=lambda track: track.times[0] - track.times[-1])
    kept: list[Track] = []
    for track in longest:
        if not any(_covers(other, track, interval) for other in kept):
            kept.append(track)
    return sorted(kept, key=lambda track: track.id)


def _covers(other: Track, track: Track, interval: float) -> bool:
    """Whether `other` has most of `track` inside at each of its detections, and lasts as long."""
    if other.times[0] > track.times[0] or other.times[-1] < track.times[-1]:
        return False
    for time, box in zip(track.times, track.boxes, strict=True):
        cover = other.box(time, interval)
        sides = np.minimum(cover[2:], box[2:]) - np.maximum(cover[:2], box[:2])
        if np.prod(np.maximum(sides, 0)) < _INSIDE * np.prod(box[2:] - box[:2]):
            return False
    return True
