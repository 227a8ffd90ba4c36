"""Runs of Ren18's game: from a folder to an anonymizer, killed and resumed, refused."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from face_trees import lfw, people_of
from killed import KILL
from tiny_faces import tiny_actions, tiny_config, tiny_data, tiny_faces, write_faces
from unseen.anonymizers.learned import WEIGHTS_FILE
from unseen.anonymizers.load import load_anonymizer
from unseen.anonymizers.modifier import FaceModifier, save_modifier
from unseen.cli import main
from unseen.data.seen import digest_of
from unseen.errors import ConfigError, DataError, RunError, UnseenError
from unseen.evaluation.evaluate import evaluate
from unseen.evaluation.target import train_target
from unseen.face_config import FaceDataConfig
from unseen.faces.images import read_folds
from unseen.models.action_detector import DETECTOR_WEIGHTS, load_detector
from unseen.models.sphereface import load_classifier
from unseen.training import checkpoint
from unseen.training.face_data import FaceData, load_face_data
from unseen.training.face_game import FaceGame
from unseen.training.face_run import refuse_faces, train_faces, verification
from unseen.training.folder import CHECKPOINT, TRAINING_FILE
from visible import visible_data

LIMITED = (
    "modifier.sees=6", "modifier.noise=0.1", "game.realism=0.1",
    "game.objectives=negative_entropy,distance", "game.restart_every=2", "game.restart_steps=2",
)  # fmt: skip
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import killed
from tiny_faces import tiny_config, tiny_data
from unseen.training.face_run import train_faces
killed.heed()
if __name__ == "__main__":
    config = tiny_config(*sys.argv[3:])
    data = tiny_data(actions=config.data.actions is not None)
    train_faces(config, data, Path(sys.argv[1]), resume=sys.argv[2] == "resume")
"""
# Small steps: Adam divides by a gradient's size, and so enlarges what rounding does to it.
SLOW = tuple(f"train.lr_{player}=1e-5" for player in ("modifier", "recogniser", "critic"))
STRANGERS = (
    "game.l1_goal=stranger", "game.occluders=2", "modifier.sees=8", "modifier.looks=6",
    "modifier.noise=0.1", "game.realism=0.1", "game.objectives=random_label", "game.average=0.5",
)  # fmt: skip


def test_a_run_leaves_an_anonymizer_a_recogniser_a_detector_and_its_account(
    tmp_path: Path,
) -> None:
    trained = train_faces(tiny_config(), tiny_data(actions=True), tmp_path / "run")
    anonymizer = load_anonymizer(tmp_path / "run")
    assert anonymizer.needs_boxes == "face"
    assert load_classifier(tmp_path / "run").identities == 4
    learned = frozenset(digest_of(f"person{who}") for who in range(4))
    assert anonymizer.learned_people() == learned
    for path in (tmp_path / "run").iterdir():
        assert b"person0" not in path.read_bytes(), path
    assert load_detector(tmp_path / "run").classes == ("wave", "sit")
    account = json.loads((tmp_path / "run" / TRAINING_FILE).read_text())
    stages = [(row["stage"], row["step"]) for row in account["rows"]]
    assert stages == [
        ("recogniser", 2), ("modifier", 1), ("game", 2), ("game", 3), ("detector", 2)
    ]  # fmt: skip
    assert account["rows"][0]["privacy"] is None
    assert account["measured"]["verification_raw"] == trained.verification_raw
    assert (account["people"], account["pictures"]) == (4, 12)


def _command(folder: Path, run: str) -> list[str]:
    """Trains tiny data in a process of its own."""
    script = folder / "train.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    return [sys.executable, str(script), str(folder / run)]


@pytest.mark.parametrize("past", [(0, 1), (2, 3), (3, 1)])
def test_killed_at_any_step_and_resumed_it_ends_with_the_same_bits(
    past: tuple[int, int], tmp_path: Path
) -> None:
    overrides = [*LIMITED, "train.steps=6", "data.actions=duet"]
    command = _command(tmp_path, "killed")
    environment = {**os.environ, KILL: "{}:{}".format(*past)}
    process = subprocess.run([*command, "new", *overrides], env=environment)
    assert process.returncode == -signal.SIGKILL
    state = checkpoint.load(tmp_path / "killed" / CHECKPOINT).progress["state"]
    assert (state["stage"], state["step"]) == past
    subprocess.run([*command, "resume", *overrides], check=True)
    train_faces(tiny_config(*overrides), tiny_data(actions=True), tmp_path / "whole")
    for name in (WEIGHTS_FILE, DETECTOR_WEIGHTS, "recogniser.safetensors"):
        killed, whole = (load_file(tmp_path / run / name) for run in ("killed", "whole"))
        assert killed.keys() == whole.keys()
        assert all(torch.equal(killed[key], whole[key]) for key in whole), name


@pytest.mark.parametrize("settings", [(*LIMITED, *SLOW), (*STRANGERS, *SLOW)])
def test_two_processes_train_as_one(settings: tuple[str, ...], tmp_path: Path) -> None:
    """Gradients averaged over halves of a batch are those of the batch, but for rounding."""
    command = _command(tmp_path, "two")
    told = subprocess.run(
        [*command, "new", *settings, "train.devices=2"], check=True, capture_output=True
    )
    assert told.stdout == told.stderr == b""
    train_faces(tiny_config(*settings), tiny_data(), tmp_path / "one")
    none = [f"train.{stage}=0" for stage in ("init_recogniser", "init_modifier", "steps", "finish")]
    train_faces(tiny_config(*settings, *none), tiny_data(), tmp_path / "start")
    one, two, start = (load_file(tmp_path / run / CHECKPOINT) for run in ("one", "two", "start"))
    assert one.keys() == two.keys()
    for player in ("modifier", "recogniser", "critic"):
        keys = [key for key in one if key.startswith(f"{player}/") and one[key].ndim == 4]
        assert keys
        for key in keys:
            apart, moved = (float((one[key] - run[key]).abs().mean()) for run in (two, start))
            assert moved > 1e-5, key
            assert apart < 0.02 * moved, key
    accounts = [json.loads((tmp_path / run / TRAINING_FILE).read_text()) for run in ("one", "two")]
    for a, b in zip(*(account["rows"] for account in accounts), strict=True):
        assert {k: v for k, v in b.items() if k != "seconds"} == {
            k: v if k in ("stage", "step") or v is None else pytest.approx(v, rel=1e-4)
            for k, v in a.items() if k != "seconds"
        }  # fmt: skip


def test_two_processes_share_frames_of_actions(tmp_path: Path) -> None:
    settings = (*LIMITED, *SLOW, "data.actions=duet", "train.devices=2")
    command = _command(tmp_path, "two")
    subprocess.run([*command, "new", *settings], check=True)
    account = json.loads((tmp_path / "two" / TRAINING_FILE).read_text())
    assert account["rows"][-1]["stage"] == "detector"
    assert account["rows"][-1]["detection"] > 0
    # Resumed by one process: what was written belongs together.
    train_faces(tiny_config(*settings[:-1]), tiny_data(actions=True), tmp_path / "two", resume=True)


@pytest.mark.parametrize("restart", [0, 2])
def test_step_sizes_fall_and_the_softmax_hardens(
    restart: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ren18 section 4; SphereFace's schedule of the weight of cos(theta): 1000 / (1 + 0.12 t)."""
    taken: dict[str, list[tuple[float, float]]] = {}
    rounds: list[float] = []  # step sizes of D in them
    players = {
        "recognise_step": "recogniser", "reconstruct_step": "modifier", "round": "modifier",
        "recogniser_step": "recogniser", "detector_step": "detector",
    }  # fmt: skip
    for name, player in players.items():
        move = getattr(FaceGame, name)

        def noted(game: FaceGame, name: str = name, player: str = player, move: Any = move) -> Any:
            (group,) = game.adam[player].param_groups
            taken.setdefault(name, []).append((group["lr"], game.ease))
            if name == "round":
                rounds.append(game.adam["recogniser"].param_groups[0]["lr"])
            return move(game)

        monkeypatch.setattr(FaceGame, name, noted)
    config = tiny_config(
        "train.init_recogniser=3", "train.init_modifier=2", "train.steps=4", "train.finish=2",
        "train.lr_drop=0.5", "train.lr_recogniser=0.02", "train.lr_modifier=0.03",
        "train.lr_detector=0.04", "game.ease=6", f"game.restart_every={restart}",
        "game.restart_steps=2",
    )  # fmt: skip
    train_faces(config, tiny_data(actions=True), tmp_path)
    eases = [1000.0, 1000 / 1.12, 1000 / 1.24]
    expected = {
        "recognise_step": [(0.02, ease) for ease in eases],
        "reconstruct_step": [(0.03, 6.0)] * 2,
        "round": [(0.03, 6.0)] * 2 + [(0.003, 6.0)] * 2,
        "detector_step": [(0.04, 6.0), (0.004, 6.0)],
    }
    if restart:
        expected["recogniser_step"] = [(0.02, ease) for ease in eases[:2]]  # a D that is new
    assert taken.keys() == expected.keys()
    np.testing.assert_allclose(rounds, [0.02, 0.02, 0.002, 0.002], rtol=1e-6)
    for name, steps in expected.items():
        np.testing.assert_allclose(taken[name], steps, rtol=1e-6)


def test_a_finished_run_is_resumed_without_a_step(tmp_path: Path) -> None:
    first = train_faces(tiny_config(), tiny_data(), tmp_path)
    weights = (tmp_path / WEIGHTS_FILE).read_bytes()
    again = train_faces(tiny_config(), tiny_data(), tmp_path, resume=True)
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == weights
    assert again.verification_modified == first.verification_modified


def test_a_run_does_not_go_on_with_other_people(tmp_path: Path) -> None:
    data = tiny_data()
    train_faces(tiny_config(), data, tmp_path)
    others = FaceData(tiny_faces(4, 3, 50), data.val, None)
    with pytest.raises(RunError, match="was trained on other people; resume it with the same"):
        train_faces(tiny_config(), others, tmp_path, resume=True)


def test_a_run_does_not_go_on_with_other_frames(tmp_path: Path) -> None:
    data = tiny_data(actions=True)
    train_faces(tiny_config(), data, tmp_path)
    fewer = replace(data, actions=tiny_actions(frames=3))
    with pytest.raises(RunError, match="was trained on other actions; resume it with the same"):
        train_faces(tiny_config(), fewer, tmp_path, resume=True)


def test_runs_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run to resume"):
        refuse_faces(tiny_config(), tmp_path, resume=True)
    train_faces(tiny_config("train.steps=0"), tiny_data(), tmp_path)
    assert load_anonymizer(tmp_path).removes_nothing
    with pytest.raises(RunError, match="already holds a run"):
        refuse_faces(tiny_config(), tmp_path, resume=False)
    with pytest.raises(RunError, match=r"with other settings \(data.side, game.gamma\); resume it"):
        refuse_faces(
            tiny_config("train.steps=0", "game.gamma=2", "data.side=40"), tmp_path, resume=True
        )
    moved = ("train.steps=0", "data.root=moved", "data.actions_root=moved", "data.lazy=true")
    refuse_faces(tiny_config(*moved, "train.threads=2"), tmp_path, resume=True)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RunError, match="is the run of a filter, not of a face modifier"):
        refuse_faces(tiny_config(), tmp_path, resume=True)
    (tmp_path / "config.json").write_text('{"kind": "faces", "steps": 3}')
    with pytest.raises(RunError, match="is damaged: steps Extra inputs"):
        refuse_faces(tiny_config(), tmp_path, resume=True)


def test_it_is_not_measured_as_a_filter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    save_modifier(FaceModifier(tiny_config().modifier), run, {})
    (run / "config.json").write_text(json.dumps(tiny_config().model_dump(mode="json"), indent=1))
    message = f"{run} is a face modifier, not a filter of whole frames; measure it with `unseen ver"
    for words in (["evaluate"], ["train-target", "--target", "action"]):
        assert main([*words, str(run), "-o", f"{out}.safetensors"]) == 2
        told = capsys.readouterr().err
        assert message in told
        assert "damaged" not in told
    for refused in (
        partial(evaluate, run, visible_data(), out),
        partial(train_target, run, visible_data(), tmp_path / "out.safetensors"),
    ):
        with pytest.raises(UnseenError, match="is a face modifier, not a filter"):
            refused()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_verification_is_that_of_a_naive_loop() -> None:
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(4), 2)
    features = torch.from_numpy(rng.normal(size=(8, 3)) + 2 * rng.normal(size=(4, 3))[identities])
    pairs = [(i, j) for i in range(8) for j in range(i + 1, 8)]
    same = [p for p in pairs if identities[p[0]] == identities[p[1]]]
    different = [p for p in pairs if identities[p[0]] != identities[p[1]]]
    order = np.random.default_rng(0)
    order.permutation(len(same))
    different = [different[k] for k in order.permutation(len(different))[:4]]

    def cosine(pair: tuple[int, int]) -> float:
        x, y = (features[i].numpy() for i in pair)
        return float(x @ y / np.sqrt((x @ x) * (y @ y)))

    scores = [[cosine(p) for p in kind] for kind in (same, different)]
    best = max(
        (sum(s >= t for s in scores[0]) + sum(s < t for s in scores[1])) / 8
        for t in [*scores[0], *scores[1], 2.0]
    )
    assert verification(features.float(), identities) == pytest.approx(best)
    with pytest.raises(DataError, match="needs two people"):
        verification(features.float(), np.arange(8))


def test_people_are_split_by_folds_or_by_share(tmp_path: Path) -> None:
    write_faces(tmp_path, 6, 2)
    config = FaceDataConfig(
        root=str(tmp_path), people="people.txt", train_folds=(2,), val_folds=(1,), side=32
    )
    data = load_face_data(config)
    assert data.train.names == ("person3", "person4", "person5")
    assert data.val.names == ("person0", "person1", "person2")
    data = load_face_data(FaceDataConfig(root=str(tmp_path), val_share=0.34, side=32))
    assert len(data.val.names) == 2
    assert not set(data.val.names) & set(data.train.names)
    with pytest.raises(DataError, match=r"folds 1 to 2, but the configuration asks for \[1, 5\]"):
        load_face_data(config.model_copy(update={"train_folds": (5,)}))
    for name in read_folds(tmp_path / "people.txt")[1]:
        (tmp_path / name).rename(tmp_path.parent / name)
    with pytest.raises(DataError, match=r"of folds 2 of .*people\.txt nobody has a folder in"):
        load_face_data(config)
    with pytest.raises(ConfigError, match="--root"):
        load_face_data(FaceDataConfig())


def test_too_few_people_are_told_before_a_run_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_faces(tmp_path / "faces", 5, 2)
    drawn = load_face_data(FaceDataConfig(root=str(tmp_path / "faces"), val_share=0.01, side=32))
    assert len(drawn.val.names) == 2
    people = ["3", "1", "person0\t2", "1", "person1\t2", "3", *(f"person{n}\t2" for n in (2, 3, 4))]
    (tmp_path / "faces" / "people.txt").write_text("\n".join(people))
    command = ["train", "--preset", "lfw-faces", "--root", str(tmp_path / "faces"), "-o",
               str(tmp_path / "run"), "data.people=people.txt", "data.side=32"]  # fmt: skip
    assert main([*command, "data.train_folds=1", "data.val_folds=2"]) == 2
    error = capsys.readouterr().err
    assert "to learn from there is person0 alone" in error
    assert "to measure on there are 2 pictures of 1 people" in error
    for name in ("person2", "person3", "person4"):
        (tmp_path / "faces" / name / f"{name}_0001.png").unlink()
    assert main([*command, "data.train_folds=1,2", "data.val_folds=3", "data.least=1"]) == 2
    assert "there are 3 pictures of 3 people" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_broken_pictures_of_all_people_are_told_together(tmp_path: Path) -> None:
    write_faces(tmp_path, 4, 2)
    broken = [tmp_path / name / f"{name}_0001.png" for name in ("person0", "person3")]
    for path in broken:
        path.write_bytes(b"no picture")
    config = FaceDataConfig(
        root=str(tmp_path), people="people.txt", train_folds=(1,), val_folds=(2,), side=32
    )
    with pytest.raises(DataError) as caught:
        load_face_data(config)
    assert all(str(caught.value).count(str(path)) == 1 for path in broken)


def test_duet_gives_frames_of_actions(tmp_path: Path) -> None:
    write_faces(tmp_path, 4, 2)
    config = FaceDataConfig(root=str(tmp_path), side=32, actions="duet:3", short_side=64)
    actions = load_face_data(config).actions
    assert actions is not None
    assert len(actions) == 6
    assert actions[5].image.shape == (64, 64, 3)
    assert actions[5].boxes.shape == (2, 4)
    assert len(actions.classes) == 8


@pytest.mark.parametrize(
    ("folder", "lists"),
    [("lfw-deepfunneled", "."), ("lfw", "lfw"), (".", "."), ("CASIA-WebFace", None)],
)
def test_official_layouts_are_learned_from(folder: str, lists: str | None, tmp_path: Path) -> None:
    built = lfw(tmp_path / "built", people=3, images=2)
    people = sorted(path.name for path in built.iterdir() if path.is_dir())
    for name in people:
        (tmp_path / folder).mkdir(exist_ok=True)
        (built / name).rename(tmp_path / folder / name)
    if lists is None:
        data = load_face_data(FaceDataConfig(root=str(tmp_path), val_share=0.34, side=32))
        assert sorted(data.train.names + data.val.names) == people
        return
    (built / "people.txt").rename(tmp_path / lists / "people.txt")
    config = FaceDataConfig(
        root=str(tmp_path), people="LFW_people.txt", train_folds=(1,), val_folds=(2,), side=32
    )
    data = load_face_data(config)
    assert data.train.names == tuple(people_of(1, 3))
    assert data.val.names == tuple(people_of(2, 3))


def test_faults_of_faces_and_of_actions_are_told_together(tmp_path: Path) -> None:
    config = FaceDataConfig(root=str(tmp_path / "none"), actions="daly")
    with pytest.raises(DataError) as caught:
        load_face_data(config)
    assert len(caught.value.faults) == 2
    assert "are in a folder: name it" in str(caught.value)
    assert "no such folder; name the folder of the faces with --root" in str(caught.value)


def test_people_can_be_generated() -> None:
    data = load_face_data(FaceDataConfig(generated=4, takes=2, side=32))
    assert (len(data.train), len(data.val)) == (8, 4)
    assert not set(data.train.names) & set(data.val.names)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_faces(tmp_path / "faces", 6, 3)
    run = tmp_path / "run"
    command = ["train", "--root", str(tmp_path / "faces"), "-o", str(run)]
    tiny = [
        "--preset", "lfw-faces", "data.people=people.txt", "data.train_folds=1",
        "data.val_folds=2", "data.side=32", "modifier.size=24", "modifier.width=4",
        "modifier.blocks=1", "modifier.sees=6", "recogniser=sphereface-small:4",
        "game.l1_size=12", "train.init_recogniser=1", "train.init_modifier=1", "train.steps=2",
        "train.batch=2", "train.threads=1",
    ]  # fmt: skip
    assert main([*command, *tiny]) == 0
    assert "verification by its own recogniser" in capsys.readouterr().out
    assert load_anonymizer(run).random
    two = [*command[:-1], str(tmp_path / "two"), *tiny, "train.devices=2"]
    told = subprocess.run([sys.executable, "-m", "unseen", *two], check=True, capture_output=True)
    assert told.stdout.count(b"verification by its own recogniser") == 1
    assert told.stderr == b""
    assert main([*command, *tiny]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    assert main([*command, "--resume", "game.gama=1"]) == 2
    assert "did you mean 'game.gamma'" in capsys.readouterr().err
    assert main(["train", "--preset", "lfw-faces", "-o", str(tmp_path / "b")]) == 2
    assert "--root" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
    assert main([*command, "--preset", "lfw-faces", "--target", "action"]) == 2
    assert "--target has no meaning for face pictures" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("duet-faces", "--root", "."), "'.' is not read: data.generated=300 draws people; leave"),
        (("duet-faces", "--actions-root", "."), "'.' is not read, as the frames of 'duet-faces"),
        (("lfw-faces", "--actions-root", "."), "'.' is not read, as no data set is named for it"),
    ],
)
def test_folders_that_would_not_be_read_are_refused(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["train.device=cuda"]):
        assert main(["train", "--preset", *words, *more, "-o", str(tmp_path / "run")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_all_that_is_wrong_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    write_faces(tmp_path / "faces", 4, 2)
    (tmp_path / "faces" / "person0" / "person0_0000.png").write_bytes(b"no picture")
    run = tmp_path / "file"
    run.write_text("")
    words = ["train", "--preset", "lfw-faces", "--root", str(tmp_path / "faces"), "-o", str(run),
             "--target", "action", "--private", "identity", "train.device=cuda",
             "recogniser=sphereface-smal:4", "detector=faster-rcnn-smal:1", "data.actions=dalyy",
             "data.people=none.txt"]  # fmt: skip
    assert main(words) == 2
    error = capsys.readouterr().err
    for part in ("--target has no meaning", "--private has no meaning", "train.device=cuda, but",
                 "mean 'sphereface-small'", "mean 'faster-rcnn-small'", "mean 'daly'",
                 "none.txt cannot be read", f"{run} is no folder"):  # fmt: skip
        assert error.count(part) == 1, part
    assert "person0_0000.png" not in error  # no picture is read where so much is wrong
    assert main([*words, "game.gama=1"]) == 2
    error = capsys.readouterr().err
    assert "mean 'game.gamma'" in error
    assert "--target has no meaning" in error
