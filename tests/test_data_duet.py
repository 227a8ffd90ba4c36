"""The embedded benchmark: the same on any machine, balanced, and labelled as it is drawn."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from unseen.data.clips import NO_LABELS, SPLITS, hash_splits
from unseen.data.duet import (
    ACTIONS,
    ATTRIBUTES,
    PAIRS,
    DuetClip,
    generate,
    load_duet,
)
from unseen.data.duet_scene import ACTORS, Canvas, Pose, draw_body
from unseen.data.duet_strangers import stranger
from unseen.errors import ConfigError

SIZE = 64
EVERY = range(0, 104, 3)  # 35 clips with all actions and pairs


def digest(clips: Sequence[DuetClip]) -> str:
    """SHA-256 over pixels and labels, to compare machines."""
    sha = hashlib.sha256()
    for clip in clips:
        for array in (clip.frames, clip.attributes):
            sha.update(np.ascontiguousarray(array).tobytes())
        sha.update(bytes(number % 256 for number in (clip.action, clip.pair, *clip.actors)))
    return sha.hexdigest()


@cache
def _clips(silhouette: bool = False) -> list[DuetClip]:
    return [generate(0, "train", i, size=SIZE, frames=8, silhouette=silhouette) for i in EVERY]


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        (
            lambda: [
                generate(0, split, i, size=32, frames=8)
                for split in SPLITS
                for i in range(0, 104, 13)
            ],
            "8e101c3f60473f8320c5dc2b35db905c7bef261b0b0f22b9a8bc6aafac02eeb2",
        ),
        (
            lambda: [generate(7, "train", 3)],
            "50a2f47cdea292d35fc8df755d6611b354d0206beadb4c5ca49b2fe545b448ef",
        ),
        (
            lambda: [generate(0, "test", 17, size=48, silhouette=True)],
            "e74d47494fbd2196568ea6e5cdd9a1332510c124476c29dbd7450146270676f0",
        ),
        (
            lambda: [
                generate(0, split, i, size=32, frames=8, strangers=True)
                for split in SPLITS
                for i in range(0, 104, 13)
            ],
            "2d44c733f0807ff4a04a366004b180519582cb4e6d587e405ef1fa1952d33774",
        ),
    ],
    ids=["splits", "default", "silhouette", "strangers"],
)
def test_the_same_pixels_and_labels_on_any_machine(clips: object, expected: str) -> None:
    assert callable(clips)
    assert digest(clips()) == expected


def test_a_clip_depends_on_seed_split_and_index_alone() -> None:
    alone = digest([generate(3, "val", 9, size=32, frames=4)])
    np.random.default_rng(0).random()
    generate(3, "val", 8, size=32, frames=4)
    assert digest([generate(3, "val", 9, size=32, frames=4)]) == alone
    others = [(4, "val", 9), (3, "train", 9), (3, "test", 9), (3, "val", 9 + 104)]
    found = {digest([generate(*other, size=32, frames=4)]) for other in others}  # type: ignore[arg-type]
    assert len(found | {alone}) == 5


def test_actions_and_pairs_are_balanced() -> None:
    clips = [generate(0, "train", i, size=16, frames=2) for i in range(len(ACTIONS) * len(PAIRS))]
    assert len({(clip.action, clip.pair) for clip in clips}) == len(clips)
    acting = {(clip.pair, clip.actors) for clip in clips}
    for clip in clips:
        assert set(clip.actors) == set(PAIRS[clip.pair])
    assert len(acting) > 20  # either of a pair may act


def test_pairs_are_made_from_all_actors() -> None:
    assert len(ACTIONS) == 8
    assert len(set(PAIRS)) == 13
    assert {actor for pair in PAIRS for actor in pair} == set(range(len(ACTORS))) == set(range(7))


def test_a_longer_clip_is_the_same_scene() -> None:
    """Frames and size do not change who and what."""
    for index in (0, 20, 55):
        short, long = (generate(0, "test", index, size=32, frames=n) for n in (4, 16))
        assert (short.action, short.pair, short.actors) == (long.action, long.pair, long.actors)
        assert np.allclose(short.body[0], long.body[0], atol=1.0, equal_nan=True)


def test_body_boxes_are_where_the_actors_are_drawn() -> None:
    sides = set()
    for clip in _clips(silhouette=True):
        for k, frame in enumerate(clip.frames):
            rows, columns = np.nonzero(frame.max(2))
            drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            low, high = np.nanmin(clip.body[k, :, :2], 0), np.nanmax(clip.body[k, :, 2:], 0)
            # An object in the hand is drawn, but is no part of the body.
            held = 0.09 * SIZE if ACTIONS[clip.action] == "exchanging" else 0.0
            assert (drawn[:2] >= low - 1.5 - held).all()
            assert (drawn[2:] <= high + 1.5 + held).all()
            assert (drawn[:2] <= low + 1.5).all()
            assert (drawn[2:] >= high - 1.5).all()
        assert np.isfinite(clip.body).all()
        sides.add(bool(clip.body[0, 0, 0] < clip.body[0, 1, 0]))
    assert sides == {True, False}  # mirrored clips are among them


def test_every_box_has_its_own_actor_in_it() -> None:
    """A box edge that no other box covers is touched by white pixels."""
    checked = 0
    for clip in _clips(silhouette=True):
        for k, frame in enumerate(clip.frames):
            for mine, other in ((0, 1), (1, 0)):
                x0, y0, x1, y1 = clip.body[k, mine]
                if x1 < clip.body[k, other, 0] - 8:
                    x1 = clip.body[k, other, 0] - 8
                elif x0 <= clip.body[k, other, 2] + 8:
                    continue
                part = frame[:, max(0, int(x0) - 1) : int(x1) + 2].max(2)
                rows = np.nonzero(part.max(1))[0]
                assert abs(rows.min() - y0) <= 1.5
                assert abs(rows.max() + 1 - y1) <= 1.5
                checked += 1
    assert checked > 50


def test_boxes_and_pixels_belong_to_the_same_clip_with_and_without_room() -> None:
    for drawn, silhouette in zip(_clips(), _clips(silhouette=True), strict=True):
        np.testing.assert_array_equal(drawn.body, silhouette.body)
        np.testing.assert_array_equal(drawn.face, silhouette.face)
        np.testing.assert_array_equal(drawn.attributes, silhouette.attributes)
        assert drawn.actors == silhouette.actors


def test_silhouettes_are_white_on_black() -> None:
    for clip in _clips(silhouette=True):
        assert (clip.frames == clip.frames[..., :1]).all()
        # Not a pixel between: all but edges.
        assert np.isin(clip.frames, (0, 255)).mean() > 0.9


def test_landmarks_lie_in_their_face_and_faces_in_their_body() -> None:
    seen = 0
    for clip in _clips():
        here = np.isfinite(clip.face[..., 0])
        assert (np.isfinite(clip.landmarks).all((2, 3)) == here).all()
        assert (np.isfinite(clip.face).all(2) == here).all()
        face, body, points = clip.face[here], clip.body[here], clip.landmarks[here]
        seen += len(face)
        assert (face[:, :2] >= 0).all()
        assert (face[:, 2:] <= SIZE).all()
        # A box ends at the picture's edge, the face does not.
        low = np.where(face[:, :2] <= 0, -np.inf, face[:, :2])
        high = np.where(face[:, 2:] >= SIZE, np.inf, face[:, 2:])
        assert (points >= low[:, None] - 0.01).all()
        assert (points <= high[:, None] + 0.01).all()
        assert (points[:, 2, 1] > points[:, :2, 1].max(1)).all()  # the nose is below the eyes
        assert (points[:, 2, 1] < points[:, 3:, 1].min(1)).all()  # and above the mouth
        middle = (face[:, :2] + face[:, 2:]) / 2
        assert ((middle >= body[:, :2] - 1.5) & (middle <= body[:, 2:] + 1.5)).all()
    assert seen > 200


def test_left_and_right_landmarks_are_not_swapped_by_a_mirror() -> None:
    """Facing the camera, the first eye and the first mouth corner are left of the second."""
    mirrored = set()
    for clip in _clips():
        here = np.isfinite(clip.face[..., 0])
        points = clip.landmarks[here][..., 0]
        eyes, mouth = points[:, 1] - points[:, 0], points[:, 4] - points[:, 3]
        turned = np.abs(eyes) < 0.5  # in profile the two fall together
        assert (np.sign(eyes[~turned]) == np.sign(mouth[~turned])).all()
        wide = np.abs(eyes) > 0.3 * (clip.face[here][:, 2] - clip.face[here][:, 0])
        assert (eyes[wide] > 0).all()
        if wide.any():
            mirrored.add(bool(clip.body[0, 0, 0] > clip.body[0, 1, 0]))
    assert mirrored == {True, False}


def test_attributes_say_who_and_what() -> None:
    touching = {name: [] for name in ACTIONS}  # type: dict[str, list[bool]]
    for clip in _clips():
        values = {name: clip.attributes[:, i] for i, name in enumerate(ATTRIBUTES)}
        people = [ACTORS[i] for i in clip.actors]
        for name in ("long_hair", "bare_arms", "glasses", "skirt"):
            assert (values[name] == any(getattr(person, name) for person in people)).all()
        faces = np.isfinite(clip.face[..., 0]).any(1)
        np.testing.assert_array_equal(values["face_visible"], faces)
        touching[ACTIONS[clip.action]].append(bool(values["contact"].any()))
    assert not any(touching["approaching"] + touching["departing"])
    for name in ("kicking", "pushing", "shaking hands", "hugging", "exchanging", "punching"):
        assert all(touching[name])


def test_people_are_not_still_and_rooms_are_not_alike() -> None:
    first = np.stack([clip.frames[0] for clip in _clips()]).astype(np.int16)
    assert np.abs(first[1:] - first[:-1]).mean((1, 2, 3)).min() > 10
    for clip in _clips(silhouette=True):
        moved = np.abs(np.diff(clip.frames.astype(np.int16), axis=0)).mean((1, 2, 3))
        assert moved.max() > 2


def test_loading_gives_the_generated_clips() -> None:
    counts = {"train": 5, "val": 3, "test": 2}
    data = load_duet(
        target="action", private=["pair"], size=32, frames=4, seed=2, counts=counts,  # type: ignore[arg-type]
    )  # fmt: skip
    for name in SPLITS:
        split = data.split(name)
        assert len(split) == counts[name]
        for i in range(len(split)):
            clip = generate(2, name, i, size=32, frames=4)
            np.testing.assert_array_equal(split.clips[i], clip.frames)
            np.testing.assert_array_equal(split.boxes["body"][i], clip.body)
            np.testing.assert_array_equal(split.boxes["face"][i], clip.face)
            assert (split.target[i], split.private[i]) == (clip.action, clip.pair)
    assert data.target.classes == ACTIONS
    assert data.private.classes[3] == "0-5"
    assert data.synthetic
    assert data.hash == hash_splits({name: data.split(name) for name in SPLITS})


def test_attributes_as_private_labels() -> None:
    data = load_duet(
        target="pair", private=["glasses", "contact"], size=16, frames=4, seed=0,
        counts={"train": 20, "val": 8, "test": 8},
    )  # fmt: skip
    assert data.private.multi_label
    assert data.private.name == "glasses,contact"
    assert data.private.classes == ("glasses", "contact")
    expected = []
    for i in range(20):
        attributes = generate(0, "train", i, size=16, frames=4).attributes.max(0)
        expected.append([attributes[ATTRIBUTES.index(n)] for n in ("glasses", "contact")])
    np.testing.assert_array_equal(data.train.private, np.array(expected, np.float32))
    assert data.train.private.dtype == np.float32
    assert 0 < data.train.private.mean() < 1


def test_all_attributes_are_all_but_the_target() -> None:
    """A filter cannot keep what it hides."""
    for target in ("glasses", "action"):
        data = load_duet(
            target=target, private=["all"], size=16, frames=2, seed=0,
            counts={"train": 104, "val": 104, "test": 104},
        )  # fmt: skip
        assert data.private.classes == tuple(name for name in ATTRIBUTES if name != target)


def test_attributes_that_never_vary_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"glasses is the same in all 1 clips of val: .*data.val"):
        load_duet(
            target="action", private=["glasses"], size=16, frames=2, seed=0,
            counts={"train": 104, "val": 1, "test": 8},
        )  # fmt: skip


def test_a_column_is_named_once() -> None:
    with pytest.raises(ConfigError, match="private column glasses, glasses: name each once"):
        load_duet(
            target="action", private=["glasses", "glasses"], size=16, frames=2, seed=0,
            counts={"train": 1, "val": 1, "test": 1},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "private", "message"),
    [
        ("action", ["glases"], r"duet has no private column 'glases' \(did you mean 'glasses'\?\)"),
        ("actoin", ["pair"], r"duet has no target column 'actoin' \(did you mean 'action'\?\)"),
        ("action", ["glasses", "pair"], "duet: 'pair' is one class of several"),
    ],
)
def test_unknown_columns(target: str, private: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_duet(
            target=target, private=private, size=16, frames=2, seed=0,
            counts={"train": 1, "val": 1, "test": 1},
        )  # fmt: skip
    assert all(name in str(caught.value) for name in ("action", "pair", *ATTRIBUTES))


def test_strangers_are_in_one_clip_each_and_their_attributes_go_with_nothing() -> None:
    clips = [generate(0, "train", i, size=16, frames=4, strangers=True) for i in range(240)]
    assert {(clip.pair, clip.actors) for clip in clips} == {(-1, (-1, -1))}
    assert [clip.action for clip in clips] == [i % 8 for i in range(240)]
    looks = np.stack([clip.attributes.max(0)[2:] for clip in clips]).astype(float)
    assert (np.abs(looks.mean(0) - 0.51) < 0.1).all()  # 1 - 0.7 ** 2, within three deviations
    actions = np.eye(8)[[clip.action for clip in clips]]
    together = np.corrcoef(np.concatenate([looks, actions], 1).T)[:4]
    np.fill_diagonal(together, 0)
    assert np.abs(together).max() < 0.25
    assert len({clip.frames.tobytes() for clip in clips}) == len(clips)
    rng = np.random.default_rng(0)
    people = [stranger(rng) for _ in range(50)]
    assert len({(person.height, person.shirt) for person in people}) == 50
    for name in ("long_hair", "bare_arms", "glasses", "skirt"):
        assert {getattr(person, name) for person in people} == {True, False}


def test_a_stranger_has_the_attributes_that_are_drawn() -> None:
    """The same clip but for one attribute differs, and where that person is."""
    person = replace(ACTORS[0], glasses=False)
    shown = []
    for each in (
        person,
        replace(person, skirt=True),
        replace(person, bare_arms=True),
        replace(person, glasses=True),
        replace(person, style="long"),
    ):
        image = np.zeros((269, 269, 3), np.uint8)
        draw_body(Canvas(image, 64, white=False), each, Pose(0.5, 1, look=0.3), 0.9, 0.7)
        shown.append(image)
    for other in shown[1:]:
        assert (shown[0] != other).any(2).sum() > 20


def test_strangers_as_a_data_set() -> None:
    counts = {"train": 3, "val": 2, "test": 2}
    data = load_duet(
        target=None, private=["all"], size=16, frames=4, seed=1, counts=counts,  # type: ignore[arg-type]
        strangers=True,
    )  # fmt: skip
    assert data.name == "duet:attributes"
    assert (data.target, data.private.classes) == (NO_LABELS, ATTRIBUTES)
    assert data.train.target.shape == (3, 0)
    for i in range(3):
        clip = generate(1, "train", i, size=16, frames=4, strangers=True)
        np.testing.assert_array_equal(data.train.clips[i], clip.frames)
        np.testing.assert_array_equal(data.train.private[i], clip.attributes.max(0))
    with pytest.raises(ConfigError, match=r"duet:attributes has no private column 'pair'.* action"):
        load_duet(
            target=None, private=["pair"], size=16, frames=4, seed=1, counts=counts,  # type: ignore[arg-type]
            strangers=True,
        )  # fmt: skip


@pytest.mark.usefixtures("unchecked")
def test_forty_clips_a_second() -> None:
    """16 frames of 64 x 64 by the time of the processor: other processes count for little."""
    rates = []
    for go in range(5):
        start = time.process_time()
        for i in range(8):
            generate(go, "train", i)
        rates.append(8 / (time.process_time() - start))
    assert max(rates) >= 40
