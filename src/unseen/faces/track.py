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

import numpy as np
from jaxtyping import Float, Float32

from unseen.faces.detect import COVERED, Detections
from unseen.faces.places import (
    APART,
    FURTHEST,
    INERTIA,
    Box,
    apart,
    around,
    beyond,
    enlarged,
    expected,
    largest,
    smoothed,
    speed_at,
)

# A track that found nothing for so many seconds, and in so many looks, has ended.
_PATIENCE, _LOOKS = 2.0, 10
# How far a face may have gone, in its own sizes: at once, and for each second.
_REACH, _SPEED = 1.0, 30.0
# The same for detections too weak to begin a track, and for all after so many seconds without one:
# what is seen elsewhere then is more likely another face, or none.
_NEAR_REACH, _LONG = 1.5, 0.8
# From so many of its own sizes a second on, a face moves.
_MOVES = 9.0
# Two detections of one face differ in size by less than this factor.
_RESIZED = 2.0
# So many cuts can be undone: a flash or a glitch is over after as many frames (`faces.cuts`).
MOST_UNDONE = 12
# A track is a duplicate when so much of it lies inside another one all along.
_INSIDE = 0.7


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
        """Append detection number `which` of a frame; a closer look replaces a glance.

        But a weak detection replaces no strong one: it adds to what is covered.
        """
        if self.frames[-1:] == [frame]:
            if self.scores[-1] >= self.threshold > found.scores[which]:
                self.follow(frame, found.boxes[which].astype(np.float64))
                return
            for values in (self.frames, self.times, self.boxes, self.scores, self.landmarks):
                del values[-1]
        self.frames.append(frame)
        self.times.append(time)
        self.boxes.append(found.boxes[which].astype(np.float64))
        self.scores.append(float(found.scores[which]))
        self.landmarks.append(found.landmarks[which])
        self.followed.pop(frame, None)

    def add_before(self, frame: int, time: float, found: Detections, which: int) -> None:
        """Put detection number `which` of an earlier frame before all others."""
        self.frames.insert(0, frame)
        self.times.insert(0, time)
        self.boxes.insert(0, found.boxes[which].astype(np.float64))
        self.scores.insert(0, float(found.scores[which]))
        self.landmarks.insert(0, found.landmarks[which])
        self.followed.pop(frame, None)

    def moves(self, at: int) -> bool:
        """Whether the face moves, from detection number `at` to the next: it would soon be out of
        what is covered by where it was first or last seen.
        """
        one, other = self.boxes[at], self.boxes[at + 1]
        moved = np.hypot(*(other[:2] + other[2:] - one[:2] - one[2:])) / 2
        size = np.sqrt(np.prod(one[2:] - one[:2]))
        return bool(moved > _MOVES * size * (self.times[at + 1] - self.times[at]))

    def forget(self) -> None:
        """Drop all detections but the last ones, of all and of the strong ones, that tell where the
        face is and how fast (`places.speed_at`).
        """
        every = range(len(self.times))
        kept: set[int] = set()
        for some in (every, [which for which in every if self.scores[which] >= self.threshold]):
            for which in reversed(some):
                kept.add(which)
                if self.times[some[-1]] - self.times[which] >= APART:
                    break
        for values in (self.frames, self.times, self.boxes, self.scores, self.landmarks):
            for which in reversed(every):
                if which not in kept:
                    del values[which]
        for frame in [frame for frame in self.followed if frame < self.frames[-1]]:
            del self.followed[frame]

    def follow(self, frame: int, box: Box) -> None:
        """The face was found in a frame by its picture; what was found there before counts too."""
        there = self.followed.get(frame, box)
        self.followed[frame] = around([there, box])

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
        if there is not None and not apart(there, places[0]):
            places.append(there)
        return around([*places, *self._surely(time, interval, hold)])

    def size(self, time: float) -> Float[np.ndarray, " 2"]:
        """Width and height of the face at a time, by the detections before and after it.

        `box` may be much larger: it holds all the places where the face may be.
        """
        known = ((self.times, self.smooth), (self._sure[0], self._sure[2]))
        near = []
        for times, boxes in known:
            after = int(np.searchsorted(times, time))
            near += [*boxes[max(0, after - 1) : after + 1]]
        return largest(near)

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


class Tracker:
    """Puts detections into tracks, frame by frame: the same for files and for cameras.

    Detections of at least `threshold` begin a track; weaker ones only continue one.

    Args:
        threshold: the least score of a face.
        interval: seconds between two looks.
        hold: how long a face is covered before its first and after its last detection, in seconds.
        forget: keep no more of the past than `now` needs, for cameras that run for days: `tracks`
            are then those of the last seconds alone.
    """

    def __init__(
        self, threshold: float, interval: float, hold: float, *, forget: bool = False
    ) -> None:
        self.threshold, self.interval, self.hold = threshold, interval, hold
        self.forget = forget
        self._begun = 0
        self.tracks: list[Track] = []
        self._open: list[Track] = []
        self._begin = -np.inf
        # Of each cut, what it ended: when that scene had begun, and the tracks that were open.
        self._ended: list[tuple[float, list[Track]]] = []
        self._looks = 0
        self._seen: dict[int, int] = {}  # by track, its last look

    def cut(self, time: float) -> None:
        """A new scene begins at `time`: all tracks have ended."""
        for track in self.tracks:
            if track.scene == (self._begin, np.inf):
                track.scene = (self._begin, float(np.nextafter(time, -np.inf)))
        self._ended.append((self._begin, self._open))
        self._begin = time
        self._open = []

    def undo_cut(self) -> None:
        """The last cut was none: its two scenes are one, whose tracks go on."""
        begin, tracks = self._ended.pop()
        before = float(np.nextafter(self._begin, -np.inf))
        for track in self.tracks:
            if track.scene in ((begin, before), (self._begin, np.inf)):
                track.scene = (begin, np.inf)
        self._begin = begin
        self._open = tracks + self._open

    def update(self, frame: int, time: float, found: Detections) -> list[Track]:
        """Take in what was found in a frame; frames come in order, not all need to come.

        Returns:
            the tracks that were detected in this frame.
        """
        self._looks += 1
        self._open = [
            track
            for track in self._open
            if time - track.times[-1] <= _PATIENCE or self._looks - self._seen[track.id] <= _LOOKS
        ]
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
                track = Track(self._begun, (self._begin, np.inf), self.threshold)
                self._begun += 1
                track.add(frame, time, found, which)
                self.tracks.append(track)
                self._open.append(track)
                taken[track.id] = track
        self._seen |= dict.fromkeys(taken, self._looks)
        if self.forget:
            self._forget(time)
        return list(taken.values())

    def extend(self, track: Track, frame: int, time: float, found: Detections) -> bool:
        """Take in what was found in a frame before the first of a track, if that may be its face.

        Returns:
            whether it may be there.
        """
        elsewhere = [other.boxes[-1] for other in self._open if other is not track]
        centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        others = np.zeros(len(found), bool)
        for box in elsewhere:
            others |= ((centres >= box[:2]) & (centres <= box[2:])).all(1)
        back = Track(track.id, track.scene, track.threshold)
        back.frames = track.frames[::-1]
        back.times = [-time for time in reversed(track.times)]
        back.boxes = track.boxes[::-1]
        distances = np.where(others, np.inf, _distances(back, -time, found, self.threshold))
        if not len(found) or distances.min() > 1:
            return False
        track.add_before(frame, time, found, int(distances.argmin()))
        return True

    def restless(self, tracks: Sequence[Track]) -> bool:
        """Whether any of the tracks has just begun, or its face moves, which is not jitter of weak
        detections.
        """
        return any(
            len(track.times) == 1
            or (min(track.scores[-2:]) >= self.threshold and track.moves(len(track.times) - 2))
            for track in tracks
        )

    def _forget(self, time: float) -> None:
        """Drop what neither `now` nor a later update needs."""
        self._ended = self._ended[-MOST_UNDONE:]
        for track in self._open:
            track.forget()
        going = {track.id for track in self._open}
        going |= {track.id for _, tracks in self._ended for track in tracks}
        self.tracks = [t for t in self.tracks if t.id in going or t.times[-1] + self.hold >= time]
        self._seen = {track.id: self._seen[track.id] for track in self.tracks}

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
                shown.append((track.id, enlarged(around(places), enlarge)))
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
    speed = speed_at(track.boxes, track.times, len(track.times) - 1, -1)
    if speed is not None:
        places += [centre + speed * min(away, INERTIA), centre + speed * away]
    latest = next(reversed(track.followed), -1)
    if latest > track.frames[-1] and not apart(track.followed[latest], last):
        places.append((track.followed[latest][:2] + track.followed[latest][2:]) / 2)
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    sizes = np.sqrt(np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1))
    far = np.min([np.linalg.norm(centres - place, axis=1) for place in places], axis=0)
    usual = _NEAR_REACH if away > _LONG else min(_REACH + _SPEED * away, FURTHEST)
    reach = np.where(found.scores < threshold, _NEAR_REACH, usual)
    distance = far / (np.sqrt(size * sizes) * reach)
    ratio = sizes / size
    distance[(ratio > _RESIZED) | (ratio < 1 / _RESIZED)] = np.inf
    return np.asarray(distance, np.float64)


def merged(tracks: Sequence[Track], interval: float, covered: float = COVERED) -> list[Track]:
    """The tracks without those that another one covers all along: duplicates of one face.

    Args:
        tracks: of one video.
        interval: seconds between two looks.
        covered: how many times as wide and high as a box what is surely covered of it is.
    """
    longest = sorted(tracks, key=lambda track: track.times[0] - track.times[-1])
    kept: list[Track] = []
    for track in longest:
        if not any(_covers(other, track, interval, covered) for other in kept):
            kept.append(track)
    return sorted(kept, key=lambda track: track.id)


def _covers(other: Track, track: Track, interval: float, covered: float) -> bool:
    """Whether `other` has most of `track` inside at each of its detections, all of it within what
    is covered, and lasts as long.
    """
    if other.times[0] > track.times[0] or other.times[-1] < track.times[-1]:
        return False
    for time, box in zip(track.times, track.boxes, strict=True):
        cover = other.box(time, interval)
        around_it = enlarged(cover, covered, np.minimum(cover[2:] - cover[:2], other.size(time)))
        if (box[:2] < around_it[:2]).any() or (box[2:] > around_it[2:]).any():
            return False
        sides = np.minimum(cover[2:], box[2:]) - np.maximum(cover[:2], box[:2])
        if np.prod(np.maximum(sides, 0)) < _INSIDE * np.prod(box[2:] - box[:2]):
            return False
    return True
