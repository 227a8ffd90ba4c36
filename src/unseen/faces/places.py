"""Where a face may be at times at which nobody saw it, by where it was detected.

Boxes are x0, y0, x1, y1 in pixels, times seconds.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

# By how much of its size a box grows for each second since the last look.
_GROWTH = 1.0
# How long a face that went out of sight is taken to go on as it did, in seconds.
INERTIA = 0.3
# How far apart detections must be in time to tell how fast a face is, in seconds.
APART = 0.1
# How far a face may have gone from one place to another, in its own sizes.
FURTHEST = 4.0

Box = Float[np.ndarray, " 4"]
Boxes: TypeAlias = Sequence[Box] | Float[np.ndarray, "detections 4"]


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


def largest(boxes: Boxes) -> Float[np.ndarray, " 2"]:
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
        speed = speed_at(detected, times, one, step)
        if speed is not None:
            places.append(boxes[one] + np.tile(speed * np.clip(away, -INERTIA, INERTIA), 2))
    lost = min(since, until) if since + until > 1.5 * interval else 0.0
    return grown(around(places), lost, largest(boxes[before : after + 1]))


def apart(there: Box, box: Box) -> bool:
    """Whether a face cannot have got from one box to the other: its picture led elsewhere."""
    moved = (there[:2] + there[2:] - box[:2] - box[2:]) / 2
    return bool(np.hypot(*moved) > FURTHEST * np.sqrt(np.prod(there[2:] - there[:2])))


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds them all."""
    return np.concatenate([np.min(boxes, 0)[:2], np.max(boxes, 0)[2:]])


def beyond(boxes: Boxes, times: Sequence[float], time: float, interval: float) -> Box:
    """Where a face may be before the first or after the last of its detections.

    The box holds where it was last and where it would be, had it gone on; and it grows.
    """
    nearest, step = (0, 1) if time < times[0] else (len(times) - 1, -1)
    away = time - times[nearest]
    speed = speed_at(boxes, times, nearest, step)
    places = [boxes[nearest]]
    if speed is not None:
        places.append(places[0] + np.tile(speed * np.clip(away, -INERTIA, INERTIA), 2))
    return grown(around(places), abs(away) - interval, largest([boxes[nearest]]))


def speed_at(
    boxes: Boxes, times: Sequence[float], at: int, step: int
) -> Float[np.ndarray, " 2"] | None:
    """Pixels a second at a detection, judged by those before it (`step` -1) or after it (1).

    By the nearest that is far enough in time: of two frames in a row jitter makes most of it. None
    where there is no other detection.
    """
    other = at
    while 0 <= other + step < len(times) and abs(times[at] - times[other]) < APART:
        other += step
    if other == at:
        return None
    moved = boxes[at][:2] + boxes[at][2:] - boxes[other][:2] - boxes[other][2:]
    passed = max(abs(times[at] - times[other]), APART)
    speed: Float[np.ndarray, " 2"] = -step * moved / 2 / passed
    return speed
