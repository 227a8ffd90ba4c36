import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from unseen.errors import DataError
from unseen.evaluation.frame_map import Boxes, frame_map

CLASSES = ("drink", "phone", "sit", "never")


def random_frames(seed: int, frames: int = 25) -> tuple[list[Boxes], list[Boxes]]:
    """True boxes, and guesses: moved ones, doubled ones, of other classes, and made up ones."""
    rng = np.random.default_rng(seed)
    found, true = [], []
    for _ in range(frames):
        count = int(rng.integers(0, 5))
        low = rng.uniform(0, 60, (count, 2))
        boxes = np.concatenate([low, low + rng.uniform(10, 40, (count, 2))], 1)
        labels = rng.integers(0, 3, count)
        true.append(Boxes(boxes, labels))
        moved = np.concatenate([boxes, boxes]) + rng.normal(0, 3, (2 * count, 4))
        kept = rng.random(2 * count) < 0.7
        other = np.concatenate([labels, rng.integers(0, 3, count)])
        low = rng.uniform(0, 60, (2, 2))
        guesses = np.concatenate([moved[kept], np.concatenate([low, low + 20], 1)])
        found.append(
            Boxes(guesses, np.concatenate([other[kept], [0, 3]]), rng.random(len(guesses)))
        )
    return found, true


def by_pycocotools(found: list[Boxes], true: list[Boxes], iou: float) -> dict[str, float]:
    """Average precision of each class as COCO's own code computes it; -1 for absent ones."""

    def sized(box: Any) -> list[float]:
        return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]

    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i} for i in range(len(true))],
        "categories": [{"id": c} for c in range(len(CLASSES))],
        "annotations": [
            {"image_id": i, "category_id": int(label), "bbox": sized(box), "iscrowd": 0,
             "area": float((box[2] - box[0]) * (box[3] - box[1]))}
            for i, frame in enumerate(true)
            for box, label in zip(frame.boxes, frame.labels, strict=True)
        ],
    }  # fmt: skip
    for number, annotation in enumerate(truth.dataset["annotations"]):
        annotation["id"] = number + 1
    guesses = [
        {"image_id": i, "category_id": int(label), "bbox": sized(box), "score": float(score)}
        for i, frame in enumerate(found)
        if frame.scores is not None
        for box, label, score in zip(frame.boxes, frame.labels, frame.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(guesses), "bbox")
        run.params.iouThrs = np.array([iou])
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][0, :, :, 0, -1]  # recalls, classes
    return {name: float(precision[:, c].mean()) for c, name in enumerate(CLASSES)}


@pytest.mark.parametrize("iou", [0.5, 0.75])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_pycocotools(seed: int, iou: float) -> None:
    found, true = random_frames(seed)
    measured = frame_map(found, true, CLASSES, iou=iou)
    expected = by_pycocotools(found, true, iou)
    assert expected.pop("never") == -1.0
    assert measured.per_class.pop("never") is None
    assert measured.per_class == pytest.approx(expected, abs=1e-9)
    assert measured.mean == pytest.approx(np.mean(list(expected.values())))
    assert 0.02 < measured.mean < 0.9
    assert (measured.frames, measured.boxes) == (25, sum(len(frame.labels) for frame in true))


def one(boxes: list[list[float]], scores: list[float] | None = None, label: int = 0) -> Boxes:
    array = np.array(boxes, np.float64).reshape(-1, 4)
    given = None if scores is None else np.array(scores)
    return Boxes(array, np.full(len(array), label), given)


BOX, OTHER = [0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]


@pytest.mark.parametrize(
    ("guesses", "scores", "expected"),
    [
        ([BOX, OTHER], [0.9, 0.8], 1.0),
        ([BOX], [0.9], 51 / 101),  # recall 0.5: 51 of the 101 recalls
        ([BOX, BOX, OTHER], [0.9, 0.8, 0.7], (51 + 50 * 2 / 3) / 101),  # the second is false
        ([], [], 0.0),
        ([[0.0, 0.0, 10.0, 4.9]], [0.9], 0.0),  # overlaps by 0.49
        ([[0.0, 0.0, 10.0, 5.0]], [0.9], 51 / 101),  # by 0.5
    ],
)
def test_by_hand(guesses: list[list[float]], scores: list[float], expected: float) -> None:
    measured = frame_map([one(guesses, scores)], [one([BOX, OTHER])], ["drink"])
    assert measured.mean == pytest.approx(expected)


def test_the_interval_is_that_of_frames_drawn_again() -> None:
    """The naive way: lists of frames, drawn with replacement, each measured by itself."""
    found, true = random_frames(5, frames=8)
    measured = frame_map(found, true, CLASSES, draws=40, seed=3)
    rng = np.random.default_rng([3, 23])
    means = []
    for _ in range(40):
        chosen = np.sort(rng.integers(8, size=8))
        again = frame_map([found[i] for i in chosen], [true[i] for i in chosen], CLASSES, draws=1)
        means.append(again.mean)
    assert measured.interval == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))))
    assert measured.interval[0] < measured.mean < measured.interval[1]


def test_the_interval_is_over_videos() -> None:
    found, true = random_frames(6, frames=12)
    # One video says nothing of others: then it is over its frames.
    single = frame_map(found, true, CLASSES, videos=["a"] * 12)
    assert single == frame_map(found, true, CLASSES)
    assert np.ptp(single.interval) > 0.05
    whole = frame_map(found * 2, true * 2, CLASSES, videos=[*range(12)] * 2, draws=200)
    apart = frame_map(found * 2, true * 2, CLASSES, draws=200)
    # Twice the same frames say no more; taken as other ones they would.
    assert np.ptp(whole.interval) > 1.15 * np.ptp(apart.interval)


def test_what_cannot_be_measured() -> None:
    with pytest.raises(DataError, match="boxes of 1 frames were found, 2 frames are true"):
        frame_map([one([BOX], [1.0])], [one([BOX])] * 2, ["drink"])
    with pytest.raises(DataError, match="need scores"):
        frame_map([one([BOX])], [one([BOX])], ["drink"])
    with pytest.raises(DataError, match="no frame has a true box"):
        frame_map([one([BOX], [1.0])], [one([])], ["drink"])
    with pytest.raises(DataError, match="no true box has one of the 1 classes"):
        frame_map([one([BOX], [1.0])], [one([BOX], label=4)], ["drink"])
