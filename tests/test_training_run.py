"""Runs: killed and resumed, refused, capped, and the same in two processes as in one."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from shutil import copy2
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from killed import KILL
from tiny_game import tiny_config, tiny_data
from unseen.anonymizers.learned import WEIGHTS_FILE, load_filter
from unseen.anonymizers.load import load_anonymizer
from unseen.config import RunConfig
from unseen.data.clips import ClipDataset
from unseen.data.seen import SEEN_FILE
from unseen.errors import RunError
from unseen.face_config import FaceRunConfig
from unseen.training import checkpoint
from unseen.training.folder import (
    CHECKPOINT,
    CONFIG_FILE,
    MACHINE_SETTINGS,
    TARGET_FILE,
    TRAINING_FILE,
    refuse,
    run_config,
)
from unseen.training.processes import make_fabric
from unseen.training.run import _Run, train
from unseen.training.schedules import PLATEAU
from unseen.training.state import STAGES
from unseen.types import to_clips

# What a killed, a resumed and a distributed process run: the folder, whether to resume, overrides.
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import killed
from tiny_game import tiny_config, tiny_data
from unseen.training.run import train
killed.heed()
if __name__ == "__main__":
    config = tiny_config(*sys.argv[2:])
    train(config, tiny_data(config), Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def data() -> ClipDataset:
    return tiny_data(tiny_config())


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    return path


Process = subprocess.Popen[bytes]


def _start(script: Path, folder: Path, *overrides: str, kill: str | None = None) -> Process:
    with _log(folder).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, str(script), str(folder), *overrides],
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1", **({KILL: kill} if kill else {})},
        )


def _log(folder: Path) -> Path:
    return folder.with_suffix(".log")


def _training(folder: Path) -> dict[str, Any]:
    written: dict[str, Any] = json.loads((folder / TRAINING_FILE).read_text())
    return written


def _without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_time(v) for key, v in value.items() if key != "seconds"}
    return [_without_time(v) for v in value] if isinstance(value, list) else value


# Everything that carries state from step to step: restarts, the multiplier, noise.
EVENTFUL = (
    "filter.output_limits=noise:0.1", "game.hold_loss=1.5", "game.gamma_rate=0.1",
    "game.restart_every=4", "game.restart=oldest", "game.restart_cap=5", "train.steps=16",
    "train.init_reconstruct=2", "train.init_target_alone=2", "train.init_target=3",
    "train.init_budget=2", "train.log_every=7",
    "train.finish=2", "train.checkpoint_every=0",
)  # fmt: skip


@pytest.mark.parametrize(("stage", "step"), [("target", 1), ("game", 5), ("finish", 1)])
def test_killed_and_resumed_is_bit_for_bit_the_uninterrupted_run(
    stage: str, step: int, data: ClipDataset, script: Path, tmp_path: Path
) -> None:
    config = tiny_config(*EVENTFUL)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = _start(script, killed, *EVENTFUL, kill=f"{STAGES.index(stage)}:{step}")
    assert process.wait(240) == -signal.SIGKILL, _log(killed).read_text()
    state = checkpoint.load(killed / CHECKPOINT).progress["state"]
    assert (STAGES[state["stage"]], state["step"]) == (stage, step)
    assert not (killed / WEIGHTS_FILE).exists()  # a killed run does not look finished
    found = train(config, data, killed, resume=True)
    expected = train(config, data, whole)

    for name in (WEIGHTS_FILE, TARGET_FILE):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    one, other = (checkpoint.load(folder / CHECKPOINT).tensors for folder in (whole, killed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert _without_time(_training(killed)) == _without_time(_training(whole))
    assert len(_training(whole)["restart_details"]) == 3
    assert found.target_accuracy == expected.target_accuracy
    assert found.budget_accuracy == expected.budget_accuracy


def test_a_finished_run_resumes_to_itself(data: ClipDataset, tmp_path: Path) -> None:
    config = tiny_config()
    trained = train(config, data, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.suffix == ".safetensors"}
    again = train(config, data, tmp_path, resume=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.name in before} == before
    assert again == trained


def test_what_a_run_leaves(data: ClipDataset, tmp_path: Path) -> None:
    config = tiny_config(
        "train.init_reconstruct=2", "train.init_target_alone=1", "train.init_budget=2"
    )
    trained = train(config, data, tmp_path)
    stages = {f"stage-{name}.safetensors" for name in STAGES}
    files = {CHECKPOINT, WEIGHTS_FILE, TARGET_FILE, TRAINING_FILE, CONFIG_FILE, SEEN_FILE}
    files.add("anonymizer.json")
    assert {path.name for path in tmp_path.iterdir()} == stages | files
    assert json.loads((tmp_path / CONFIG_FILE).read_text()) == config.model_dump(mode="json")
    written = _training(tmp_path)
    assert [row["stage"] for row in written["rows"]] == (
        ["target-alone"] + ["target"] * 3 + ["budget"] * 2 + ["game"] * 3 + ["finish"]
    )
    assert [row["step"] for row in written["rows"]] == list(range(3, 13))
    last = written["rows"][-1]  # all 26 validation clips are within what is measured on the way
    assert last["target_accuracy"] == trained.target_accuracy
    assert tuple(last["budget_accuracy"]) == trained.budget_accuracy
    loaded = load_filter(tmp_path)
    tensors = checkpoint.load(tmp_path / CHECKPOINT).tensors
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, tensors[f"filter/{key}"])
    clips = to_clips(data.val.clips[:2])
    assert loaded(clips).shape == clips.shape


def test_an_existing_run_is_not_overwritten(data: ClipDataset, tmp_path: Path) -> None:
    config = tiny_config("train.steps=0")
    train(config, data, tmp_path)
    before = (tmp_path / WEIGHTS_FILE).read_bytes()
    with pytest.raises(RunError, match="already holds a run; go on with --resume"):
        train(config, data, tmp_path)
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == before


def test_nothing_that_is_there_is_replaced(data: ClipDataset, tmp_path: Path) -> None:
    (tmp_path / TRAINING_FILE).write_text("mine")
    with pytest.raises(RunError, match=r"training\.json is there and might be replaced"):
        train(tiny_config("train.steps=0"), data, tmp_path)
    assert (tmp_path / TRAINING_FILE).read_text() == "mine"


def test_resume_needs_a_run(data: ClipDataset, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run to resume; start it without --resume"):
        train(tiny_config(), data, tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_resume_with_other_settings_names_them(data: ClipDataset, tmp_path: Path) -> None:
    train(tiny_config("train.steps=0"), data, tmp_path)
    before = (tmp_path / CONFIG_FILE).read_bytes()
    with pytest.raises(RunError) as caught:
        train(
            tiny_config("train.steps=0", "game.gamma=3", "train.lr_filter=0.1"),
            data, tmp_path, resume=True,
        )  # fmt: skip
    assert "started with other settings (game.gamma, train.lr_filter)" in str(caught.value)
    moved = ("data.root=there", "data.person_detector=there")
    machine = (
        "train.threads=3",
        "train.devices=2",
        "train.checkpoint_every=1",
        "train.device=auto",
    )
    refuse(tiny_config("train.steps=0", *moved, *machine), tmp_path, resume=True)
    assert (tmp_path / CONFIG_FILE).read_bytes() == before


def test_settings_of_a_machine_are_settings() -> None:
    configs = (RunConfig(), FaceRunConfig())
    keys = {
        f"{section}.{key}"
        for config in configs
        for section, values in config.model_dump().items()
        if isinstance(values, dict)
        for key in values
    }
    assert keys >= MACHINE_SETTINGS


def test_a_run_is_measured_as_it_was_last_asked_to_be(data: ClipDataset, tmp_path: Path) -> None:
    train(tiny_config("train.steps=0"), data, tmp_path)
    before = (tmp_path / WEIGHTS_FILE).read_bytes()
    config = tiny_config("train.steps=0", "evaluation.draws=5")
    train(config, data, tmp_path, resume=True)
    assert run_config(tmp_path) == config
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == before


def test_a_run_from_before_a_setting_existed_resumes(data: ClipDataset, tmp_path: Path) -> None:
    trained = train(tiny_config("train.steps=0"), data, tmp_path)
    path = tmp_path / CONFIG_FILE
    settings = json.loads(path.read_text())
    del settings["game"]["restart_patience"], settings["game"]["d_iter"]
    path.write_text(json.dumps(settings))
    assert train(tiny_config("train.steps=0"), data, tmp_path, resume=True) == trained
    assert load_anonymizer(tmp_path).removes_nothing
    with pytest.raises(RunError, match=r"other settings \(game.d_iter\)"):
        train(tiny_config("train.steps=0", "game.d_iter=4"), data, tmp_path, resume=True)


def test_resume_with_other_data_is_refused(data: ClipDataset, tmp_path: Path) -> None:
    config = tiny_config("train.steps=0")
    train(config, data, tmp_path)
    other = tiny_data(tiny_config("data.seed=1"))
    before = (tmp_path / CONFIG_FILE).read_bytes()
    elsewhere = tiny_config("train.steps=0", "data.root=elsewhere")  # where data may have moved
    with pytest.raises(RunError, match="was trained on other data"):
        train(elsewhere, other, tmp_path, resume=True)
    assert (tmp_path / CONFIG_FILE).read_bytes() == before
    train(elsewhere, data, tmp_path, resume=True)
    assert json.loads((tmp_path / CONFIG_FILE).read_text())["data"]["root"] == "elsewhere"


def test_a_checkpoint_of_another_run_is_refused(data: ClipDataset, tmp_path: Path) -> None:
    for name, model in (("one", "c3d-small:4"), ("two", "c3d-small:8")):
        train(tiny_config("train.steps=0", f"budget_models={model}"), data, tmp_path / name)
    copy2(tmp_path / "two" / CHECKPOINT, tmp_path / "one" / CHECKPOINT)
    config = tiny_config("train.steps=0", "budget_models=c3d-small:4")
    with pytest.raises(RunError, match="is not of a run with these settings"):
        train(config, data, tmp_path / "one", resume=True)


def test_no_gpu(data: ClipDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RunError, match="PyTorch sees no GPU; use train"):
        train(tiny_config("train.device=cuda"), data, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_fewer_gpus_than_processes(
    data: ClipDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for device in ("auto", "cuda"):
        config = tiny_config(f"train.device={device}", "train.batch=4", "train.devices=2")
        with pytest.raises(RunError, match=r"train\.devices=2, but GPUs that PyTorch sees: 1; use"):
            train(config, data, tmp_path / "new")
    assert not (tmp_path / "new").exists()


# Steps so small that no weight changes: scores stay where they are, and no threshold is reached.
STUCK = (
    "train.lr_filter=1e-30", "train.lr_target=1e-30", "train.lr_budget=1e-30",
    "game.th1=1", "game.th2=1", "train.init_target=0", "train.init_budget=1",
)  # fmt: skip


def _moves(folder: Path) -> int:
    return int(_training(folder)["steps"])


def test_every_loop_ends_at_its_cap_and_says_so(data: ClipDataset, tmp_path: Path) -> None:
    config = tiny_config(
        *STUCK, "game.schedule=monitored", "game.cap_target=3", "game.cap_budget=6",
        "game.restart_every=2", "game.restart_cap=7", "train.steps=3", "train.finish=0",
    )  # fmt: skip
    trained = train(config, data, tmp_path)
    a_step = 1 + 3 + 2 * 6  # f_D, the f_T loop, the loop of each of two budget models
    a_restart = 2 + 7  # both get new weights, then train together
    assert _moves(tmp_path) == 1 + 3 * a_step + a_restart
    notes = " | ".join(trained.notes)
    assert "f_T loop reached its cap of 3" in notes
    assert "a budget loop reached its cap of 6 steps below th2 (6 times)" in notes
    assert "a budget loop reached its cap of 7 steps below th2" in notes
    assert "in 1 of 1 restarts a budget model never reached th2" in notes
    assert list(trained.notes) == _training(tmp_path)["notes"]


def test_the_target_loop_ends_at_a_plateau(data: ClipDataset, tmp_path: Path) -> None:
    config = tiny_config(
        *STUCK, "game.schedule=monitored", "game.cap_target=30", "game.cap_budget=1",
        "train.steps=1", "train.finish=0",
    )  # fmt: skip
    trained = train(config, data, tmp_path)
    assert _moves(tmp_path) == 1 + 1 + PLATEAU + 2
    assert trained.notes == (
        f"f_T stayed below th1: plateau of {PLATEAU}",
        "a budget loop reached its cap of 1 steps below th2 (2 times)",
    )


def test_loops_end_at_once_where_thresholds_are_met(data: ClipDataset, tmp_path: Path) -> None:
    config = tiny_config(
        "game.schedule=monitored", "game.th1=0", "game.th2=0", "game.cap_target=30",
        "game.cap_budget=50", "train.steps=2", "train.init_target=0", "train.init_budget=0",
        "train.finish=0",
    )  # fmt: skip
    trained = train(config, data, tmp_path)
    assert _moves(tmp_path) == 2 * (1 + 2 * 5)  # a budget score is trusted after five steps
    assert trained.notes == ()


def _gammas(folder: Path) -> tuple[list[float], list[float]]:
    rows = [row for row in _training(folder)["rows"] if row["stage"] == "game"]
    return [row["gamma"] for row in rows], [row["target_loss"] for row in rows]


@pytest.mark.parametrize(("hold", "sign"), [(50.0, 1), (0.01, -1)])
def test_gamma_is_the_multiplier_of_the_constraint(
    hold: float, sign: int, data: ClipDataset, tmp_path: Path
) -> None:
    config = tiny_config(
        f"game.hold_loss={hold}", "game.gamma=1", "game.gamma_rate=0.5", "game.gamma_max=4",
        "train.steps=8",
    )  # fmt: skip
    train(config, data, tmp_path)
    found, losses = _gammas(tmp_path)
    gamma = 1.0
    for value, loss in zip(found, losses, strict=True):
        slack = max(-1.0, min(1.0, (hold - loss) / hold))
        gamma = min(4.0, max(0.05, gamma * math.exp(0.5 * slack)))
        assert value == pytest.approx(gamma)
    assert sign * (found[0] - 1.0) > 0
    assert found[-1] == (4.0 if sign > 0 else 0.05)


def test_without_a_constraint_gamma_stays(data: ClipDataset, tmp_path: Path) -> None:
    train(tiny_config("game.gamma=1.5"), data, tmp_path)
    assert _gammas(tmp_path)[0] == [1.5] * 3


@pytest.mark.parametrize(
    ("restart", "models"), [("all", [[0, 1], [0, 1], [0, 1]]), ("oldest", [[0], [1], [0]])]
)
def test_restarts_come_when_and_to_whom_they_should(
    restart: str, models: list[list[int]], data: ClipDataset, tmp_path: Path
) -> None:
    config = tiny_config(
        f"game.restart={restart}", "game.restart_every=2", "game.restart_cap=5", "train.steps=7"
    )
    train(config, data, tmp_path)
    written = _training(tmp_path)
    details = written["restart_details"]
    assert [each["step"] for each in details] == [2, 4, 6]
    assert [each["models"] for each in details] == models
    assert all(len(each["before"]) == len(each["after"]) == len(each["models"]) for each in details)
    assert written["restarts"] == [5 + step for step in (2, 4, 6)]  # 3 and 2 steps before the game


def test_without_a_game_there_are_no_budget_models(data: ClipDataset, tmp_path: Path) -> None:
    trained = train(tiny_config("game.objective=none"), data, tmp_path)
    assert trained.budget_accuracy == ()
    assert {row["stage"] for row in _training(tmp_path)["rows"]} == {"target", "game", "finish"}
    assert _moves(tmp_path) == 3 + 3 + 1  # the same steps of f_D as with a game
    # Their stage did not take place: the curves have no gap there, and the report no mark.
    assert [row["step"] for row in _training(tmp_path)["rows"]] == [1, 2, 3, 4, 5, 6, 7]
    stages = {stage["name"]: stage["step"] for stage in _training(tmp_path)["stages"]}
    assert stages["budget"] == stages["game"] == 3


def test_f_t_can_learn_before_f_d_moves(data: ClipDataset, tmp_path: Path) -> None:
    config = tiny_config("train.init_reconstruct=2", "train.init_target_alone=3")
    train(config, data, tmp_path)
    before, after = (
        checkpoint.load(tmp_path / f"stage-{name}.safetensors").tensors
        for name in ("reconstruct", "target-alone")
    )
    moved = {
        re.split("[/#]", key)[0]
        for key, value in after.items()
        if key not in before or not torch.equal(value, before[key])
    }
    assert moved == {"target", "opt_target"}


def test_a_run_without_first_stages_is_written_too(data: ClipDataset, tmp_path: Path) -> None:
    config = tiny_config(
        "train.init_target=0", "train.init_budget=2", "train.steps=0", "train.finish=0"
    )
    train(config, data, tmp_path)
    assert [row["target_loss"] for row in _training(tmp_path)["rows"]] == [None, None]


# Small steps and shallow models: Adam divides by a gradient's size, and so enlarges what rounding
# does to it.
PLAIN = (
    "target_model=one-layer:8", "budget_models=one-layer:8,one-layer:12",
    "train.init_reconstruct=2", "train.init_target=4", "train.init_budget=3", "train.steps=4",
    "train.finish=2", "game.restart_every=2", "game.restart_cap=3", "train.lr_schedule=constant",
    "train.lr_filter=1e-4", "train.lr_target=1e-4", "train.lr_budget=1e-4",
)  # fmt: skip


@pytest.mark.parametrize("micro_batch", [0, 3])
def test_two_processes_train_as_one(
    data: ClipDataset, script: Path, tmp_path: Path, micro_batch: int
) -> None:
    """Gradients averaged over halves of a batch, and over parts of these, are those of the batch,
    but for rounding."""
    more = ("train.devices=2", f"train.micro_batch={micro_batch}")
    process = _start(script, tmp_path / "two", *PLAIN, *more)
    train(tiny_config(*PLAIN), data, tmp_path / "one")
    assert process.wait(240) == 0, _log(tmp_path / "two").read_text()
    first = load_file(tmp_path / "one" / "stage-reconstruct.safetensors")
    one, two = (load_file(tmp_path / name / CHECKPOINT) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for player in ("filter", "target", "budget0", "budget1"):
        moved, apart = _distance(one, first, player), _distance(one, two, player)
        assert moved > 1e-4
        assert apart < 1e-6
    for a, b in zip(*(_training(tmp_path / name)["rows"] for name in ("one", "two")), strict=True):
        assert a["target_loss"] == pytest.approx(b["target_loss"], rel=1e-5)


# Every process writes what it measures after some moves, and what its BatchNorm layers kept.
PLAYERS = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tiny_game import tiny_config, tiny_data
from unseen.training.game import Game
from unseen.training.processes import make_fabric
if __name__ == "__main__":
    config = tiny_config(*sys.argv[2:])
    game = Game(config, tiny_data(config), make_fabric(config.train))
    game.filter_step(1.0, with_target=True)
    game.target_step(with_filter=False)
    game.budget_step([0])
    found = game.validate()
    kept = [float(v.double().sum()) for m in game.modules().values() for k, v in m.named_buffers()
            if "running" in k]
    path = Path(sys.argv[1]) / f"{{game.fabric.global_rank}}.json"
    path.write_text(json.dumps([kept, found.target_loss, found.target_score, *found.budget_losses]))
"""


def test_processes_agree_on_what_they_measure(tmp_path: Path) -> None:
    """BatchNorm keeps what it saw of a share; a schedule decides by what it then measures."""
    path = tmp_path / "players.py"
    path.write_text(PLAYERS.format(tests=str(Path(__file__).parent)))
    settings = ("target_model=c3d-small:4", "budget_models=c3d-small:4,mobilenet:0.02")
    process = subprocess.run(
        [sys.executable, str(path), str(tmp_path), *settings, "train.devices=2"],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert len(one[0]) > 10
    assert len(set(one[0])) > 10  # they have learned
    assert one == other


def _distance(one: dict[str, Tensor], other: dict[str, Tensor], player: str) -> float:
    """The mean difference of a player's weights, in the convolution where it is largest."""
    keys = [key for key in one if key.startswith(f"{player}/") and one[key].ndim > 1]
    return max(float((one[key] - other[key]).abs().mean()) for key in keys)


def test_step_sizes_rise_and_fall(tmp_path: Path) -> None:
    """`lr_schedule=decay`: up over 30 steps, down over the last 40% of the game, from 0.3 after."""
    config = tiny_config("train.steps=100", "train.finish=10")
    data = tiny_data(config)
    run = _Run(config, data, tmp_path, make_fabric(config.train))

    def rate(stage: str, step: int, length: int) -> float:
        run.state.step = step
        return run._rate(stage, length)

    for stage in ("reconstruct", "target-alone", "target", "budget"):
        assert [rate(stage, step, 500) for step in (0, 14, 29, 400)] == pytest.approx(
            [1 / 30, 0.5, 1, 1]
        )
    assert [rate("game", step, 100) for step in (0, 59, 80, 90, 99)] == pytest.approx(
        [1, 1, 0.5, 0.25, 0.025]
    )
    assert rate("game", 999, 1000) == pytest.approx(0.02)
    assert [rate("finish", step, 10) for step in (0, 5, 9)] == pytest.approx([0.3, 0.15, 0.03])
    constant = tiny_config("train.lr_schedule=constant")
    run = _Run(constant, data, tmp_path, make_fabric(constant.train))
    assert {rate(stage, 99, 100) for stage in ("target", "game", "finish")} == {1.0}
