"""PA-HMDB51 as a test, on miniature trees of the three data sets, down to the command line."""

import json
import shutil
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visible  # noqa: F401 - registers the model 'pixel'
from unseen.cli import main
from unseen.config import DataConfig
from unseen.data.clips import SPLITS
from unseen.data.hmdb51 import read_hmdb51
from unseen.data.load import check_data, load_data
from unseen.data.official import check
from unseen.data.pa_hmdb51_labels import ATTRIBUTES
from unseen.data.video import write_video
from unseen.errors import ConfigError, DataError
from unseen.evaluation.results import read_result
from unseen.files import write_json
from unseen.training.metrics import score

ACTIONS = ("climb", "climb_stairs")
FRAMES, LONG = 4, 10
ALL = ["a17_color", "a9_face_complete", "a4_gender", "a12_semi_nudity", "a64_rel_personal"]


def name(action: str, source: int, clip: int) -> str:
    return f"Film{source}_{action}_u_cm_np1_fr_goo_{clip}.avi"


def level(action: str, source: int, clip: int, frame: int) -> int:
    """The grey of a frame: no other has it."""
    return 10 + 100 * ACTIONS.index(action) + 16 * source + 8 * clip + frame // 2


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """HMDB51 with six sources of two clips for each action; VISPR; annotations of four videos."""
    root = tmp_path_factory.mktemp("data")
    hmdb, vispr, pa = root / "hmdb51", root / "vispr", root / "pa"
    lists = hmdb / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    for action in ACTIONS:
        (hmdb / action).mkdir()
        # The annotated sources 4 and 5 are in train and in neither by the official split.
        lines = [f"{name(action, s, c)} {'112110'[s]}\n" for s in range(6) for c in (0, 1)]
        (lists / f"{action}_test_split1.txt").write_text("".join(lines))
        for source in range(6):
            for clip in (0, 1):
                shades = [level(action, source, clip, n) for n in range(LONG)]
                images = np.array(shades, np.uint8)[:, None, None, None]
                images = np.ascontiguousarray(np.broadcast_to(images, (LONG, 16, 16, 3)))
                write_video(root / "v.mp4", images, Fraction(10), "lossless")
                (root / "v.mp4").rename(hmdb / action / name(action, source, clip))
    for part, numbers in (
        ("train2017", range(12)), ("val2017", range(12, 16)), ("test2017", range(16, 20))
    ):  # fmt: skip
        for i in numbers:
            for folder in ("images", "annotations"):
                (vispr / folder / part).mkdir(parents=True, exist_ok=True)
            shade = np.full((24, 16, 3), 40 + 100 * (i % 2), np.uint8)
            shade += np.add.outer(np.arange(24), np.arange(16)).astype(np.uint8)[..., None]
            Image.fromarray(shade).save(vispr / f"images/{part}/2017_{i}.jpg")
            labels = ALL if i % 2 else ["a0_safe"]
            text = {"image_path": f"images/{part}/2017_{i}.jpg", "labels": labels}
            (vispr / f"annotations/{part}/2017_{i}.json").write_text(json.dumps(text))
    annotations = pa / "PrivacyAttributes"
    annotations.mkdir(parents=True)
    for action in ACTIONS:
        videos = {name(action, 4, 0): whole(), name(action, 5, 1): partly()}
        (annotations / f"{action}.json").write_text(json.dumps(videos))
    return {"root": hmdb, "private_root": vispr, "test_on_root": pa}


def whole() -> dict[str, Any]:
    """Every frame is labelled; several people, one that turns, and ranges that overlap."""
    return {
        "skin_color": [[0, 9, 1]],
        "face": [[0, 4, 0], [5, 9, 2]],
        "gender": [[0, 9, [0, 2]]],
        "nudity": [[0, 9, 0]],
        "relationship": [[0, 6, 0], [4, 9, 1]],
        "review": True,
    }


def partly() -> dict[str, Any]:
    """Frames 0 to 2 and 9 have no label at all, others not each."""
    return {
        "skin_color": [[3, 8, 0]],
        "face": [[4, 5, 1]],
        "gender": [],
        "nudity": [[3, 8, 2]],
        "relationship": [[3, 3, 0]],
        "review": False,
        "note": "dark",
    }


def config(roots: dict[str, Path], **change: Any) -> DataConfig:
    wanted = {
        "name": "hmdb51:1",
        "private_name": "vispr:5",
        "private": ("all",),
        "test_on": "pa-hmdb51",
        "stills": "repeat",
        "size": 16,
        "frames": FRAMES,
        **{key: str(path) for key, path in roots.items()},
    }
    return DataConfig(**{**wanted, **change})


def binary(ranges: list[Any], frame: int) -> float:
    """The protocol once more, for one frame."""
    found = [value for start, end, value in ranges if start <= frame <= end]
    values = [v for value in found for v in (value if isinstance(value, list) else [value])]
    return float(any(v != 0 for v in values)) if values else np.nan


def test_all_annotated_videos_are_test_and_none_is_in_train(roots: dict[str, Path]) -> None:
    data = load_data(config(roots))
    assert data.name == "hmdb51:1, pa-hmdb51"
    assert [len(data.split(split)) for split in SPLITS] == [12, 4, 4]
    shown = {split: {int(c[0, 0, 0, 0]) for c in data.split(split).clips} for split in SPLITS}
    first = 1  # the first of four frames spread over ten
    tested = [(a, *which) for a in ACTIONS for which in ((4, 0), (5, 1))]
    assert shown["test"] == {level(*each, first) for each in tested}
    # Of their sources nothing is trained on either; of the others everything, test of the list too.
    others = {level(a, s, c, first) for a in ACTIONS for s in range(4) for c in (0, 1)}
    assert shown["train"] | shown["val"] == others
    assert data.target.classes == ACTIONS
    assert data.test.target.tolist() == [0, 0, 1, 1]
    # Intervals are drawn over what was cut from one recording: of an action, or of a film.
    assert data.train.videos is not None
    assert len(np.unique(data.train.videos)) == 6
    frames = data.private_data.test
    assert frames.videos is not None
    assert len(np.unique(frames.videos)) == 2
    shades = [
        {level(a, s, c, n) for a in ACTIONS for n in range(LONG)} for s, c in ((4, 0), (5, 1))
    ]
    for number, clip in zip(frames.videos, frames.clips, strict=True):
        assert clip[0, 0, 0, 0] in shades[number]


def test_a_film_of_an_annotated_video_is_left_out_in_every_action(roots: dict[str, Path]) -> None:
    annotated = {name(ACTIONS[0], 4, 0): ACTIONS[0], name(ACTIONS[1], 5, 1): ACTIONS[1]}
    inventory = read_hmdb51(roots["root"], annotated=annotated)
    of = {s: {f"{a}/{name(a, s, c)}" for a in ACTIONS for c in (0, 1)} for s in range(6)}
    tested = {f"{action}/{video}" for video, action in annotated.items()}
    found = {
        part: {item.path for item in inventory.items if item.split == part}
        for part in ("train", "test")
    }
    assert found == {"train": of[0] | of[1] | of[2] | of[3], "test": tested}
    assert inventory.unused == (of[4] | of[5]) - tested


def test_as_in_the_paper_all_but_the_annotated_videos_trains(roots: dict[str, Path]) -> None:
    """Wang19 5.5.1: "the rest videos", those of annotated films too."""
    apart, mixed = (load_data(config(roots, films=films)) for films in ("apart", "mixed"))
    trained = [sum(len(data.split(split)) for split in ("train", "val")) for data in (apart, mixed)]
    rest = len(ACTIONS) * 6 * 2 - 4
    assert trained == [rest - 4, rest]
    for split in ("target", "videos", "clips"):
        one, other = (getattr(data.test, split) for data in (apart, mixed))
        np.testing.assert_array_equal(one, other)
    tested = {clip.tobytes() for clip in mixed.test.clips}
    assert not tested & {clip.tobytes() for clip in (*mixed.train.clips, *mixed.val.clips)}


def test_numbered_parts_are_one_film(tmp_path: Path) -> None:
    """As the published `Return_of_the_King_1` and `Return_of_the_King_10`."""
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    ending = "_u_cm_np1_fr_goo_0.avi"
    sources = ("King_1", "King_10", "King", "KING!", "Kingdom_1", "King_of_2")
    for action in ACTIONS:
        lines = [f"{source}_{action}{ending} 1\n" for source in sources]
        (lists / f"{action}_test_split1.txt").write_text("".join(lines))
    inventory = read_hmdb51(tmp_path, annotated={f"King_10_climb{ending}": "climb"})
    trained = {item.path.removesuffix(ending) for item in inventory.items if item.split == "train"}
    left = ("Kingdom_1", "King_of_2")
    assert trained == {f"{action}/{source}_{action}" for action in ACTIONS for source in left}
    assert len(inventory.unused) == 7


def test_the_check_finds_no_fault(roots: dict[str, Path]) -> None:
    annotated = {name(a, *w): a for a in ACTIONS for w in ((4, 0), (5, 1))}
    report = check(read_hmdb51(roots["root"], annotated=annotated), decode=True)
    assert not report.faults
    assert not report.unlisted


def test_frames_and_labels_are_those_of_a_naive_loop(roots: dict[str, Path]) -> None:
    data = load_data(config(roots)).private_data
    assert (data.name, data.still) == ("vispr:5, pa-hmdb51", True)
    assert data.private.classes == ATTRIBUTES
    assert [len(data.split(split)) for split in SPLITS] == [12, 4, 4 * FRAMES]
    expected, shades = [], []
    for action in ACTIONS:
        # Labelled frames, in as many equal parts as a clip has, from the middle of each.
        for entry, which, numbers in (
            (whole(), (4, 0), [1, 3, 6, 8]),
            (partly(), (5, 1), [3, 5, 6, 8]),
        ):
            for frame in numbers:
                expected.append([binary(entry[a], frame) for a in ATTRIBUTES])
                shades.append(level(action, *which, frame))
    np.testing.assert_array_equal(data.test.private, np.array(expected, np.float32))
    assert np.isnan(data.test.private).any()
    for clip, shade in zip(data.test.clips, shades, strict=True):
        assert clip.shape == (FRAMES, 16, 16, 3)
        assert (clip == shade).all()
    # A score of it is of what is known.
    truth = np.nan_to_num(data.test.private, nan=0.5)
    assert score(truth, data.test.private, data.private) == 1.0


def test_some_attributes_in_another_order_and_pictures_that_drift(roots: dict[str, Path]) -> None:
    some = load_data(config(roots, private=("nudity", "face"), stills="pan")).private_data
    every = load_data(config(roots)).private_data
    assert not some.still
    known = ~np.isnan(every.test.private[:, [3, 1]]).all(1)
    labels = every.test.private[known][:, [3, 1]]
    np.testing.assert_array_equal(some.test.private, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "duet"}, "--data hmdb51 --private-data vispr:5"),
        ({"private_name": None}, "--data hmdb51 --private-data vispr:5"),
        ({"root": None}, "where is 'hmdb51:1'? Name its folder: --root DIR"),
        ({"test_on_root": None}, "where are the annotations of PA-HMDB51? Name their folder: --te"),
        ({"private_root": None}, "where is 'vispr:5'? Name its folder: --private-root DIR"),
        (
            {"private_name": "duet:attributes", "train": 16, "val": 8, "test": 8},
            "PA-HMDB51 annotates skin_color, face, gender, nudity, relationship; name two or more",
        ),
        ({"private": ("face",)}, "name two or more of them as private attributes, not face"),
    ],
)
def test_what_cannot_be_tested_on_it(
    roots: dict[str, Path], change: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        load_data(config(roots, **change))
    assert message in str(caught.value)


def test_all_folders_that_are_missing_are_told(roots: dict[str, Path], tmp_path: Path) -> None:
    nowhere = {"root": None, "private_root": str(tmp_path / "no"), "test_on_root": None}
    with pytest.raises(DataError) as caught:
        load_data(config(roots, **nowhere))
    assert [fault[:18] for fault in caught.value.faults] == [
        "where are the anno", "where is 'hmdb51:1", "there is no folder",
    ]  # fmt: skip


def test_annotations_that_hmdb51_does_not_bear_out(roots: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "PrivacyAttributes"
    folder.mkdir()
    videos = {name("climb", 4, 0): whole() | {"face": [[0, 40, 1]]}}
    (folder / "climb.json").write_text(json.dumps(videos))
    with pytest.raises(DataError, match="PA-HMDB51 cannot be tested on") as caught:
        load_data(config(roots, test_on_root=str(tmp_path), target="action"))
    assert "has 10 frames, and 41 are annotated" in str(caught.value)
    (folder / "climb.json").write_text(json.dumps({name("climb", 9, 0): whole()}))
    with pytest.raises(DataError) as caught:
        load_data(config(roots, test_on_root=str(tmp_path)))
    missing = f"PA-HMDB51 annotates '{name('climb', 9, 0)}', which HMDB51's lists do not name"
    assert missing in caught.value.faults


# ------------------------------------------------------------ the command line

GAME = (
    "data.size=16", f"data.frames={FRAMES}", "filter.width=8", "filter.blocks=1",
    "filter.output_limits=grey", "target_model=c3d-small:4", "budget_models=mobilenet-gn:0.01",
    "train.batch=4", "train.init_target=2", "train.init_budget=2", "train.steps=2",
    "train.finish=1", "train.log_every=2", "train.device=cpu", "train.threads=1",
)  # fmt: skip
ATTACK = (
    "evaluation.target_model=c3d-small:4", "evaluation.jobs=1", "evaluation.target_fit.cap=1",
    "evaluation.attacker_fit.cap=1", "evaluation.target_fit.epoch_clips=12",
    "evaluation.attacker_fit.epoch_clips=12", "evaluation.attackers=pixel",
)  # fmt: skip


@pytest.fixture
def _signals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_signals")
def test_from_the_three_data_sets_to_a_result(
    roots: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str | Path) -> int:
        return main([str(word) for word in words])

    data = ("--data", "hmdb51:1", "--root", roots["root"], "--private-data", "vispr:5",
            "--private-root", roots["private_root"])  # fmt: skip
    tested = ("--test-on", "pa-hmdb51", "--test-on-root", roots["test_on_root"])
    assert run("train", *data, *tested, *GAME, "-o", "mine") == 0
    capsys.readouterr()
    stored = json.loads(Path("mine/config.json").read_text())
    assert stored["data"]["private"] == ["all"]
    assert run("evaluate", "mine", *ATTACK, "-o", "r.json") == 0
    assert "leak" in capsys.readouterr().out
    result = read_result(Path("r.json"))
    assert result["data"]["name"] == "hmdb51:1, pa-hmdb51"
    assert result["data"]["counts"] == {"train": 12, "val": 4, "test": 4}
    assert result["data"]["private_data"]["name"] == "vispr:5, pa-hmdb51"
    assert result["data"]["private_data"]["counts"] == {"train": 12, "val": 4, "test": 16}
    assert result["data"]["private"]["classes"] == list(ATTRIBUTES)
    assert (result["target"]["metric"], result["privacy"]["metric"]) == ("accuracy", "cmap")
    # The mean share of ones, over the attributes that vary: face, skin colour, nudity, relation.
    assert 0.3 < result["privacy"]["chance"] < 0.8

    # A further target model needs no private labels, and so no pictures of VISPR.
    roots["private_root"].rename("elsewhere")
    assert (
        run("train-target", "mine", "--target", "action", *ATTACK[:4], "-o", "f.safetensors") == 0
    )
    assert "A_T" in capsys.readouterr().out
    Path("elsewhere").rename(roots["private_root"])

    # A run that did not leave the annotated videos out cannot be tested on them.
    for key in ("test_on", "test_on_root"):
        stored["data"][key] = None
    write_json(Path("other/config.json"), stored)
    assert run("evaluate", "other", *tested, "-o", "no.json") == 2
    assert "train it with --test-on pa-hmdb51, which leaves them out" in capsys.readouterr().err
    assert not Path("no.json").exists()


@pytest.mark.parametrize("decode", [False, True])
def test_the_annotations_are_checked_with_the_videos(
    decode: bool, roots: dict[str, Path], tmp_path: Path
) -> None:
    pa = roots["test_on_root"]
    report = check_data(f"pa-hmdb51:{roots['root']}", pa, decode=decode)
    assert report.faults == ()
    assert report.notices[-1] == (
        "split 1 of HMDB51 trains on 2 annotated videos; a run with --test-on pa-hmdb51 trains on "
        "none"
    )
    root = tmp_path / "hmdb51"
    shutil.copytree(roots["root"], root)
    gone, short, other = (name(action, s, c) for action, s, c in
                          ((ACTIONS[0], 4, 0), (ACTIONS[0], 5, 1), (ACTIONS[1], 4, 0)))  # fmt: skip
    (root / ACTIONS[0] / gone).unlink()
    (root / ACTIONS[0] / short).unlink()
    write_video(tmp_path / "v.mp4", np.zeros((8, 16, 16, 3), np.uint8), Fraction(10), "lossless")
    (tmp_path / "v.mp4").rename(root / ACTIONS[0] / short)
    names = root / "testTrainMulti_7030_splits" / f"{ACTIONS[1]}_test_split1.txt"
    names.write_text(names.read_text().replace(f"{other} 1\n", ""))
    seen: list[tuple[int, int]] = []
    report = check_data(
        f"pa-hmdb51:{root}", pa, decode=decode, progress=lambda *counts: seen.append(counts)
    )
    assert report.missing == (f"'{ACTIONS[0]}/{gone}' is annotated and not there",)
    path = root / ACTIONS[0] / short
    assert report.broken == (f"'{path}' has 8 frames, and 9 are annotated",)
    assert report.mistakes == (f"PA-HMDB51 annotates '{other}', which HMDB51's lists do not name",)
    assert seen == [(1, 2), (2, 2)]
