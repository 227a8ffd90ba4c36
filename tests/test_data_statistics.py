"""Statistics of annotations: counted by hand, by naive loops and by scikit-learn."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.cluster import contingency_matrix

from unseen.data.pa_hmdb51_labels import ATTRIBUTES, VALUES, LabelRange, VideoAnnotation
from unseen.data.statistics import annotation_statistics

Rows = list[tuple[int, int, set[int]]]


def annotated(name: str, action: str, **ranges: Rows) -> VideoAnnotation:
    labels = {
        attribute: tuple(
            LabelRange(start, end, frozenset(values))
            for start, end, values in ranges.get(attribute, [])
        )
        for attribute in ATTRIBUTES
    }
    return VideoAnnotation(name, action, labels)


# Four frames, six frames (the first unlabelled), two frames.
MINIATURE = [
    annotated("a.avi", "kiss", gender=[(0, 3, {1, 2})], relationship=[(0, 3, {1})]),
    annotated("b.avi", "brush_hair", gender=[(1, 2, {2}), (2, 4, {0})], relationship=[(1, 5, {0})]),
    annotated("c.avi", "kiss", gender=[(0, 1, {1})], face=[(1, 1, {2})]),
]


def test_a_miniature_counted_by_hand() -> None:
    found = annotation_statistics(MINIATURE)
    assert (found.videos, found.actions, found.frames, found.labelled_frames) == (3, 2, 12, 11)
    assert list(found.action_distribution.items()) == [("kiss", 2), ("brush_hair", 1)]
    gender = found.attributes["gender"]
    assert gender.values == ("cannot tell", "male", "female")
    # kiss: 4 frames of both, 2 of a man; brush hair: frame 1 a woman, 2 both labels, 3 and 4 none.
    assert gender.distribution.frames == (3, 6, 6)
    assert (gender.distribution.labelled, gender.distribution.unlabelled) == (10, 2)
    assert gender.distribution.shares == (0.3, 0.6, 0.6)
    assert gender.several == 5
    assert list(gender.by_action) == ["brush_hair", "kiss"]
    assert gender.by_action["kiss"].frames == (0, 6, 4)
    assert gender.by_action["kiss"].shares == pytest.approx((0, 1, 2 / 3))
    assert gender.by_action["brush_hair"].frames == (3, 0, 2)
    assert gender.by_action["brush_hair"].labelled == 4
    assert gender.by_action["brush_hair"].unlabelled == 2
    face = found.attributes["face"]
    assert face.distribution.frames == (0, 0, 1)
    assert face.distribution.unlabelled == 11
    assert face.by_action["brush_hair"].shares == (0, 0, 0)
    assert found.attributes["nudity"].distribution.labelled == 0


def test_equal_actions_stand_by_name() -> None:
    videos = [annotated(f"{at}.avi", action) for at, action in enumerate(["wave", "hit", "jump"])]
    assert list(annotation_statistics(videos).action_distribution) == ["hit", "jump", "wave"]


def test_it_is_json() -> None:
    found = annotation_statistics(MINIATURE)
    content = json.loads(json.dumps(asdict(found), allow_nan=False))
    assert content["action_distribution"] == {"kiss": 2, "brush_hair": 1}
    assert content["attributes"]["gender"]["by_action"]["kiss"]["frames"] == [0, 6, 4]
    assert list(content["attributes"]) == list(ATTRIBUTES)


RANGES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 6), st.sets(st.integers(0, 2), min_size=1)).map(
        lambda each: (each[0], each[0] + each[1], each[2])
    ),
    max_size=4,
)


@given(st.lists(st.tuples(st.sampled_from(["hit", "run", "sit"]), RANGES, RANGES), max_size=5))
def test_counts_are_those_of_naive_loops(drawn: list[tuple[str, Rows, Rows]]) -> None:
    videos = [
        annotated(f"{at}.avi", action, face=face, nudity=nudity)
        for at, (action, face, nudity) in enumerate(drawn)
    ]
    found = annotation_statistics(videos)
    for at, counted in enumerate((found.attributes["face"], found.attributes["nudity"])):
        frames = {action: [0, 0, 0] for action, _, _ in drawn}
        several = labelled = total = 0
        for action, *both in drawn:
            length = max([end + 1 for rows in both for _, end, _ in rows], default=0)
            for frame in range(length):
                seen = [values for start, end, values in both[at] if start <= frame <= end]
                present = [value for value in range(3) if any(value in each for each in seen)]
                for value in present:
                    frames[action][value] += 1
                labelled += len(present) > 0
                several += len(present) > 1
                total += 1
        assert {name: list(each.frames) for name, each in counted.by_action.items()} == frames
        assert list(counted.distribution.frames) == [
            sum(each[value] for each in frames.values()) for value in range(3)
        ]
        assert (counted.several, counted.distribution.labelled) == (several, labelled)
        assert counted.distribution.unlabelled == total - labelled
        assert sum(each.labelled for each in counted.by_action.values()) == labelled


def test_single_values_make_scikit_learns_contingency_table() -> None:
    rng = np.random.default_rng(0)
    actions, values, videos = [], [], []
    for at in range(30):
        action = ["climb", "talk", "walk"][rng.integers(3)]
        drawn = rng.integers(0, 4, 20)
        drawn[:4] = range(4)  # scikit-learn leaves values out that never occur
        rows: Rows = [(frame, frame, {int(value)}) for frame, value in enumerate(drawn)]
        videos.append(annotated(f"{at}.avi", action, skin_color=rows))
        actions += [action] * 20
        values += list(drawn)
    by_action = annotation_statistics(videos).attributes["skin_color"].by_action
    table = [each.frames for each in by_action.values()]
    np.testing.assert_array_equal(table, contingency_matrix(actions, values))
    assert len(table[0]) == len(VALUES["skin_color"])
