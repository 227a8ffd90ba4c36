from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from jaxtyping import Int

from face_trees import face
from unseen.config import FitConfig
from unseen.data.face_images import Face
from unseen.errors import DataError
from unseen.evaluation.identification import Parts, identify, split_by_person
from unseen.models.recogniser import Recogniser, Vectors
from unseen.models.recogniser_fisher import Fisher

IDENTITY = np.array([7] * 8 + [3] * 5 + [9] * 2 + [1] + [4] * 3, np.int64)
FAST = FitConfig(epoch_clips=64, batch=16, cap=8, least=8, lr=3e-3)


def test_half_of_each_person_is_learned_and_the_others_are_named() -> None:
    parts = split_by_person(IDENTITY, seed=0)
    assert parts.people == 4  # the one with a single image is left out
    used = np.concatenate([parts.train, parts.val, parts.test])
    assert len(set(used.tolist())) == len(used) == 18
    assert parts.labels[15] == -1
    counts = {
        name: Counter(IDENTITY[getattr(parts, name)].tolist()) for name in ("train", "val", "test")
    }
    assert counts == {
        "train": {7: 3, 3: 2, 9: 1, 4: 2},
        "val": {7: 1, 3: 1},
        "test": {7: 4, 3: 2, 9: 1, 4: 1},
    }
    for person, label in ((1, -1), (3, 0), (4, 1), (7, 2), (9, 3)):
        assert set(parts.labels[person == IDENTITY].tolist()) == {label}
    again, other = split_by_person(IDENTITY, seed=0), split_by_person(IDENTITY, seed=1)
    np.testing.assert_array_equal(parts.test, again.test)
    assert parts.test.tolist() != other.test.tolist()


@pytest.mark.parametrize("identity", [[1, 2, 3, 4], [1] * 9, [1, 1, 2, 2, 3, 3]])
def test_too_few_images(identity: list[int]) -> None:
    with pytest.raises(DataError, match="are too few to learn who they are"):
        split_by_person(np.array(identity), seed=0)


def attacked(hidden: bool) -> tuple[dict[str, object], Parts]:
    """Eight people with eight images; hidden: every image is of a stranger."""
    identity = np.repeat(np.arange(8), 8)
    images = [face(1000 + i if hidden else int(person), i, 24) for i, person in enumerate(identity)]
    faces = [Face(image, np.array([0, 0, 24, 24], np.float32)) for image in images]
    fisher = Fisher()
    parts = split_by_person(identity, seed=0)
    found = identify(
        parts, [np.stack(images)[:, None]], [{"fisher": fisher.features(faces)}], [fisher],
        ["cnn"], FAST, seed=0,
    )  # fmt: skip
    return found, parts


def test_attackers_name_people_and_nobody_where_nothing_is_left() -> None:
    open_, parts = attacked(hidden=False)
    assert open_["counts"] == {"train": 24, "val": 8, "test": 32}
    assert open_["chance"] == pytest.approx(1 / 8)
    rows = {row["name"]: row for row in open_["attackers"]}  # type: ignore[attr-defined]
    assert rows["fisher"]["accuracy"] > 0.9
    assert rows["cnn"]["accuracy"] > 0.5
    assert rows["cnn"]["kind"] == "network"
    assert open_["accuracy"] == max(row["accuracy"] for row in rows.values())
    assert open_["best"] == max(rows, key=lambda name: rows[name]["accuracy"])
    hidden, _ = attacked(hidden=True)
    assert hidden["accuracy"] < 0.45  # type: ignore[operator]
    assert parts.people == 8


def test_the_interval_is_that_of_the_best() -> None:
    """The first of two attackers names nobody; the interval is not its."""
    identity = np.repeat(np.arange(4), 8)
    parts = split_by_person(identity, seed=0)
    told = np.eye(4)[identity].astype(np.float32)

    class Nearest(Recogniser):
        def __init__(self, name: str) -> None:
            self.name = name

        def features(self, faces: Sequence[Face]) -> Vectors:
            raise AssertionError

    blind = np.ones_like(told)
    found = identify(
        parts, [np.zeros((32, 1, 16, 16, 3), np.uint8)], [{"blind": blind, "sees": told}],
        [Nearest("blind"), Nearest("sees")], [], FAST, seed=0,
    )  # fmt: skip
    assert (found["best"], found["accuracy"], found["interval"]) == ("sees", 1.0, [1.0, 1.0])


def test_attackers_learn_from_every_draw_and_name_the_first() -> None:
    identity = np.repeat(np.arange(4), 8)
    parts = split_by_person(identity, seed=0)
    told = np.eye(4)[identity].astype(np.float32)
    wrong = np.roll(told, 1, axis=1)

    class Kept(Recogniser):
        """Keeps what it learned from."""

        name = "kept"

        def features(self, faces: Sequence[Face]) -> Vectors:
            raise AssertionError

        def fit(self, features: Vectors, identity: Int[np.ndarray, " faces"]) -> "Kept":
            given.append((features, identity))
            return self

    given: list[tuple[Vectors, Int[np.ndarray, " faces"]]] = []
    crops = np.zeros((32, 1, 16, 16, 3), np.uint8)
    found = identify(
        parts, [crops, crops], [{"kept": told}, {"kept": 0.5 * wrong}], [Kept()], [], FAST, seed=0
    )
    ((features, labels),) = given
    known = np.concatenate([parts.train, parts.val])
    np.testing.assert_array_equal(features, np.concatenate([told[known], 0.5 * wrong[known]]))
    np.testing.assert_array_equal(labels, np.concatenate([parts.labels[known]] * 2))
    assert found["accuracy"] == 1
