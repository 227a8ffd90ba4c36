"""Sweeps: nothing done twice, nothing lost, and one failure does not stop the rest."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from unseen import sweep
from unseen.cli import main
from unseen.config import DataConfig
from unseen.data.duet import export_duet
from unseen.errors import ConfigError, RunError
from unseen.evaluation.results import read_result
from unseen.sweep import Outcome, SweepRun, plan, run_sweep
from unseen.training.folder import refuse, run_config

FAMILY = Path(__file__).parents[1] / "results" / "duet-family"
TINY = (
    "data.size=16", "data.frames=4", "data.train=26", "data.val=13", "data.test=13",
    "filter.width=8", "filter.blocks=1", "target_model=c3d-small:4", "train.device=cpu",
    "train.batch=8", "train.init_reconstruct=1", "train.init_target_alone=2", "train.init_target=2",
    "train.init_budget=1", "train.steps=2", "train.finish=1", "train.log_every=2",
    "game.cap_target=1", "game.cap_budget=1", "game.restart_cap=1",
    "evaluation.target_model=c3d-small:4", "evaluation.attackers=cnn", "evaluation.jobs=1",
    "evaluation.target_fit.cap=1", "evaluation.attacker_fit.cap=1",
    "evaluation.target_fit.epoch_clips=26", "evaluation.attacker_fit.epoch_clips=26",
)  # fmt: skip


def _states(folder: Path) -> dict[str, str]:
    runs = json.loads((folder / "sweep.json").read_text())["runs"]
    return {name: run["state"] for name, run in runs.items()}


def _times(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != "sweep.json"
    }


def test_a_sweep_is_done_once_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sweep"
    names = ("duet-raw", "duet-entropy-m1")
    command = ["sweep", *names, "-o", str(folder), *TINY]
    assert main([*command, "--dry-run"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in listed] == [
        ["duet-raw-seed0", "evaluate"],
        ["duet-entropy-m1-seed0", "train, evaluate"],
    ]
    assert not folder.exists()

    assert main(command) == 0
    told = capsys.readouterr().out
    assert "2 runs, 2 to do" in told
    assert re.search(r"duet-entropy-m1-seed0: A_T \d+\.\d%, retrained \d+\.\d%, leak ", told)
    for name in names:
        result = read_result(folder / "results" / f"{name}-seed0.json")
        assert [each["name"] for each in result["privacy"]["attackers"]] == ["cnn"]
    assert result["training"]["preset"] == "duet-entropy-m1"
    assert run_config(folder / "runs" / "duet-entropy-m1-seed0").preset == "duet-entropy-m1"
    assert set(_states(folder).values()) == {"done"}

    # Again, with one more seed: only that is done, with other weights.
    before = _times(folder)
    assert main([*command, "--seeds", "0,1"]) == 0
    assert "4 runs, 2 to do" in capsys.readouterr().out
    after = _times(folder)
    assert {name: after[name] for name in before} == before
    one, other = (
        (folder / "runs" / f"duet-entropy-m1-seed{k}" / "anonymizer.safetensors").read_bytes()
        for k in (0, 1)
    )
    assert one != other
    assert run_config(folder / "runs" / "duet-entropy-m1-seed1").train.seed == 1
    settings = read_result(folder / "results" / "duet-raw-seed1.json")["configuration"][
        "evaluation"
    ]
    assert (settings["seed"], settings["attacker_fit"]["seed"], settings["target_fit"]["seed"]) == (
        1, 1, 1,
    )  # fmt: skip
    capsys.readouterr()

    # Results alone, as they come from another machine, are enough; other settings are refused.
    moved = tmp_path / "moved"
    moved.mkdir()
    (folder / "results").rename(moved / "results")
    again = ["sweep", *names, "-o", str(moved), *TINY]
    assert main([*again, "evaluation.jobs=2", "data.root=elsewhere"]) == 0
    assert "2 runs, 0 to do" in capsys.readouterr().out
    assert main([*again, "game.gamma=3", "evaluation.attackers=difference"]) == 2
    told = capsys.readouterr().err
    assert "holds runs with other settings; name another folder, or delete them" in told
    assert "duet-raw-seed0: evaluation.attackers" in told
    assert "duet-entropy-m1-seed0: evaluation.attackers, game.gamma" in told


def test_the_published_family_can_be_gone_on_with(tmp_path: Path) -> None:
    shutil.copytree(FAMILY / "results", tmp_path / "results")
    runs = plan(tmp_path, ["duet-*"], seeds=[0])
    done = {run.name for run in runs if run.result.exists()}
    assert done == {path.stem for path in (FAMILY / "results").glob("*-seed0.json")}
    # These bounds are those of another schedule: the same experiment.
    assert plan(tmp_path, ["duet-grl-m1"], ["game.bound_budget=0.1"])
    with pytest.raises(ConfigError, match=r"game\.bound_budget, game\.bound_target, game\.sch"):
        plan(tmp_path, ["duet-grl-m1"], ["game.bound_budget=0.1", "game.schedule=three_party"])


def test_attributes_of_another_data_set_are_hidden_all(tmp_path: Path) -> None:
    across = "data.private_name=duet:attributes"
    (run,) = plan(tmp_path, ["duet-raw"], [*TINY, across])
    assert run.config.data.private == ("all",)
    (run,) = plan(tmp_path, ["duet-raw"], [*TINY, across, "data.private=skirt"])
    assert run.config.data.private == ("skirt",)


def test_killed_it_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = [*TINY, "train.steps=50", "train.checkpoint_every=0"]
    words = ["sweep", "duet-grl-m1", "-o", str(tmp_path / "killed"), *settings]
    command = [sys.executable, "-m", "unseen", *words]
    run = tmp_path / "killed" / "runs" / "duet-grl-m1-seed0"
    until = time.monotonic() + 600  # on a busy machine
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            while not (run / "stage-budget.safetensors").exists():
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.02)
        finally:
            process.kill()
    assert not (run / "training.json").exists()
    elsewhere = [*settings, "train.threads=3", "train.checkpoint_every=5", "data.root=moved"]
    for there in (settings, elsewhere):
        (only,) = plan(tmp_path / "killed", ["duet-grl-m1"], there)
        assert only.left == "resume training, evaluate"
    refuse(only.config, only.folder, resume=True)  # which accepts what the plan promised
    assert _states(tmp_path / "killed") == {"duet-grl-m1-seed0": "to do"}

    assert main(words) == 0
    whole = tmp_path / "whole"
    assert main(["sweep", "duet-grl-m1", "-o", str(whole), *settings]) == 0
    weights = Path("runs") / "duet-grl-m1-seed0" / "anonymizer.safetensors"
    assert (tmp_path / "killed" / weights).read_bytes() == (whole / weights).read_bytes()
    # Of the checkpoints the last one stays.
    for folder in (tmp_path / "killed", whole):
        left = {path.name for path in (folder / weights).parent.glob("*.safetensors")}
        assert left == {"anonymizer.safetensors", "target.safetensors", "checkpoint.safetensors"}
    # Killed in the evaluation, only that is done again.
    result = whole / "results" / "duet-grl-m1-seed0.json"
    result.unlink()
    before = (whole / weights).stat().st_mtime_ns
    assert main(["sweep", "duet-grl-m1", "-o", str(whole), *settings]) == 0
    assert result.exists()
    assert (whole / weights).stat().st_mtime_ns == before


def test_trainings_in_several_processes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each is trained by two, and nothing else is done twice; what is told of a failure is kept."""
    command = ["sweep", "duet-entropy-m1", "-o", str(tmp_path), *TINY, "train.devices=2"]
    assert main([*command, "train.lr_target=1e38"]) == 2
    assert "training diverged: a gradient of" in capfd.readouterr().err
    told = json.loads((tmp_path / "sweep.json").read_text())["runs"]["duet-entropy-m1-seed0"]
    assert told["error"].startswith("training diverged: a gradient of")
    shutil.rmtree(tmp_path / "runs")
    assert main(command) == 0
    out = capfd.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in out[1:2]] == ["[1/1] duet-entropy-m1-seed0"]
    assert len(out) == 3
    assert _states(tmp_path) == {"duet-entropy-m1-seed0": "done"}
    assert run_config(tmp_path / "runs" / "duet-entropy-m1-seed0").train.devices == 2


def test_a_failure_does_not_stop_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sweep", "duet-entropy-m1", "duet-raw", "-o", str(tmp_path), *TINY]
    (first, _) = plan(tmp_path, ["duet-entropy-m1", "duet-raw"], TINY)
    first.folder.mkdir(parents=True)
    (first.folder / "config.json").write_text(first.config.model_dump_json())
    (first.folder / "checkpoint.safetensors").write_bytes(b"damaged")
    assert main([*command, "--jobs", "2"]) == 2
    told = capsys.readouterr()
    assert "1 of 2 runs failed (call the sweep again to try them again):" in told.err
    assert f"  - duet-entropy-m1-seed0: {first.folder}" in told.err
    assert "Traceback" not in told.err
    assert _states(tmp_path) == {"duet-entropy-m1-seed0": "failed", "duet-raw-seed0": "done"}

    (first.folder / "checkpoint.safetensors").unlink()
    assert main(command) == 0
    assert set(_states(tmp_path).values()) == {"done"}


def test_data_that_are_broken_fail_their_runs_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sweep", "sbu-raw", "duet-raw", "-o", str(tmp_path), *TINY]
    # That no folder is named is seen at once; that it holds too little is not.
    assert main(command) == 2
    assert capsys.readouterr().err == "unseen: where is 'sbu'? Name its folder: --root DIR\n"
    assert not (tmp_path / "sweep.json").exists()
    take = tmp_path / "sbu" / "s01s02" / "01" / "001"
    take.mkdir(parents=True)
    (take / "rgb_000001.png").write_text("no picture")
    assert main([*command, "--root", str(tmp_path / "sbu")]) == 2
    told = capsys.readouterr().err
    assert "sbu-raw-seed0: " in told
    assert "split 'test' has no clips" in told
    assert _states(tmp_path) == {"sbu-raw-seed0": "failed", "duet-raw-seed0": "done"}


def test_data_that_no_memory_holds_fail_their_runs_only(tmp_path: Path) -> None:
    huge = plan(tmp_path, ["duet-raw", "duet-mask-face"], [*TINY, "data.size=2000000"])
    with pytest.raises(RunError, match="2 of 3 runs failed") as caught:
        run_sweep(tmp_path, [*huge, *plan(tmp_path, ["duet-downsample-4"], TINY)])
    (fault,) = caught.value.faults
    where = tmp_path / "runs" / "duet-raw-seed0.error.txt"
    assert fault.startswith("duet-raw-seed0, duet-mask-face-seed0: ")
    assert "allocate" in fault
    assert fault.endswith(f"(see {where})")
    assert where.read_text().startswith("Traceback")
    assert _states(tmp_path)["duet-downsample-4-seed0"] == "done"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "unknown preset 'nosuch'"),
        (["duet-raw", "--seeds", "0,0"], "seeds: name each once"),
        (["duet-raw", "--seeds", "x"], "--seeds 'x': write whole numbers, as in 0,1,2"),
        (["duet-raw", "--jobs", "0"], "--jobs 0: from 1 to 1024"),
        (["duet-raw", "--seeds", "0,2147483648"], "seeds: whole numbers from 0 to 2147483647"),
        (["duet-entropy-m2", "budget_models=cnn"], "duet-entropy-m2 would not be what it is"),
        (["duet-grl-restart-m1", "game.restart_every=0"], "duet-grl-restart-m1 would not be what"),
        (["duet-raw", "game.gama=1"], "did you mean 'game.gamma'"),
        (["duet-*", "evaluation.attackers=cn"], "did you mean 'cnn'?"),
        (["duet-grl-m1", "duet-raw", "target_model=c3d-smal"], "did you mean 'c3d-small'?"),
        (["duet-entropy", "evaluation.attackers=c3d-small:8"], "trained against this filter"),
        (
            ["duet-raw", "data.person_detector=torchvision:ssd300_vgg16@no.safetensors"],
            "weights no.safetensors: no such file",
        ),
        (
            ["duet-raw", "data.person_detector=torchvision:ssd300@no.safetensors"],
            "did you mean 'ssd300_vgg16'?",
        ),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", *words, "-o", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_all_that_is_wrong_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "nosuch", "duet-raw", "duet-grl-m9", "-o", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err
    assert "unknown preset 'nosuch'" in told
    assert "unknown preset 'duet-grl-m9' (did you mean 'duet-grl-m4'?)" in told
    wrong = ["budget_models=cn,c3d-smal", "filter.output_limits=nois:1", "evaluation.suite=big"]
    assert main(["sweep", "duet-grl", "-o", str(tmp_path / "new"), *wrong]) == 2
    told = capsys.readouterr().err
    for name in ("model 'cn'", "model 'c3d-smal'", "output limit 'nois'"):
        assert told.count(f"unknown {name}") == 1  # of six runs
    assert told.count("unknown suite 'big'") == 1
    file = tmp_path / "file"
    file.touch()
    wrong = ["nosuch", "duet-grl-m1", "game.gama=1", "--seeds", "0,0", "--jobs", "0"]
    wrong += ["data.person_detector=yolo", "--dry-run", "-o", str(file / "new")]
    for words, detector in ((wrong, 0), ([w for w in wrong if w != "game.gama=1"], 1)):
        assert main(["sweep", *words]) == 2
        told = capsys.readouterr().err
        for name in (
            "preset 'nosuch'",
            "seeds: name each once",
            "--jobs 0",
            f"{file} is no folder",
        ):
            assert told.count(name) == 1
        assert told.count("'game.gamma'") == 1 - detector
        assert told.count("person detector 'yolo'") == detector
    wrong = ["sbu-raw", "train.seed=7", "evaluation.seed=7", "--root", str(tmp_path / "gone")]
    assert main(["sweep", *wrong, "--dry-run", "-o", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err
    assert "train.seed=7, evaluation.seed=7: the seeds of a sweep are named by --seeds" in told
    assert told.count(f"{tmp_path / 'gone'}") == 1
    wrong = ["sbu-raw", "--data", "duet", "--dry-run", "-o", str(tmp_path / "new")]
    assert main(["sweep", *wrong]) == 2  # the family's column is SBU's
    told = capsys.readouterr().err
    assert "duet has no private column 'actor_pair' (did you mean 'pair'?)" in told
    wrong = ["duet-cross", "--private", "nosuch,skirt", "--dry-run", "-o", str(tmp_path / "new")]
    assert main(["sweep", *wrong]) == 2
    assert "duet:attributes has no private column 'nosuch'" in capsys.readouterr().err
    assert main(["sweep", "nosuch", "game.gama=1", "-o", str(file)]) == 2
    told = capsys.readouterr().err
    for name in ("preset 'nosuch'", "'game.gamma'", f"{file} is no folder"):
        assert told.count(name) == 1
    assert not (tmp_path / "new").exists()


def test_a_damaged_ledger_or_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "duet-raw-seed0.json").write_text("{")
    with pytest.raises(ConfigError, match=r"duet-raw-seed0: cannot be read: .*is not JSON"):
        plan(tmp_path, ["duet-raw"], TINY)
    for content in ("{}", "", "[]", '{"runs": []}', '{"runs": 1}', '{"runs": {"a": []}}',
                    '{"runs": {"a": null}}', "\udcff"):  # fmt: skip
        (tmp_path / "sweep.json").write_text(content, errors="surrogateescape")
        with pytest.raises(RunError, match=r"sweep.json is damaged; delete it: results and runs"):
            plan(tmp_path, ["duet-raw"], TINY)


def test_handcrafted_results_of_other_data_are_refused(tmp_path: Path) -> None:
    run_sweep(tmp_path, plan(tmp_path, ["duet-raw"], TINY))
    assert not [run for run in plan(tmp_path, ["duet-raw"], TINY) if run.left != "nothing"]
    other = [*TINY, "data.seed=9", "data.train=39"]
    with pytest.raises(ConfigError, match=r"  - duet-raw-seed0: data.seed, data.train"):
        plan(tmp_path, ["duet-raw"], other)
    # The result says it by itself, where results alone were copied.
    ledger = (tmp_path / "sweep.json").read_text()
    (tmp_path / "sweep.json").unlink()
    with pytest.raises(ConfigError, match=r"  - duet-raw-seed0: data.seed, data.train"):
        plan(tmp_path, ["duet-raw"], other)
    assert not [run for run in plan(tmp_path, ["duet-raw"], TINY) if run.left != "nothing"]
    # One from before results said it stays done; the ledger, where there is one, knows its data.
    path = tmp_path / "results" / "duet-raw-seed0.json"
    result = read_result(path)
    del result["configuration"]["data"]
    path.write_text(json.dumps(result))
    assert not [run for run in plan(tmp_path, ["duet-raw"], other) if run.left != "nothing"]
    (tmp_path / "sweep.json").write_text(ledger)
    with pytest.raises(ConfigError, match=r"  - duet-raw-seed0: data.seed, data.train"):
        plan(tmp_path, ["duet-raw"], other)


def write_detector(path: Path, seed: int) -> str:
    """A detector that knows nothing, as a person detector is named."""
    torch.manual_seed(seed)
    name = "ssdlite320_mobilenet_v3_large"
    net = torchvision.models.get_model(name, weights=None, weights_backbone=None)
    save_file(net.state_dict(), path)
    return f"data.person_detector=torchvision:{name}@{path}"


def test_bodies_of_another_detector_are_refused(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    config = DataConfig(train=13, val=13, test=13, size=16, frames=2)
    table = export_duet(videos, config, "lossless")
    settings = [*TINY, f"data.name={table}", "data.frames=2"]
    names, folder = ["duet-mask-body"], tmp_path / "sweep"
    detector = write_detector(tmp_path / "people.safetensors", 0)
    run_sweep(folder, plan(folder, names, [*settings, detector]))
    (tmp_path / "people.safetensors").rename(tmp_path / "moved.safetensors")
    for same in ([], [detector.replace("people", "moved")]):
        (only,) = plan(folder, names, [*settings, *same])
        assert only.left == "nothing"
    other = write_detector(tmp_path / "people.safetensors", 1)
    with pytest.raises(ConfigError, match=r"  - duet-mask-body-seed0: data\.person_detector$"):
        plan(folder, names, [*settings, other])


def test_a_killed_worker_does_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own run, and those that it shared the pool with, have failed; the sweep ends well."""
    runs = plan(tmp_path, ["duet-raw", "duet-mask-face"], TINY)

    def work(run: SweepRun, data: object, side_by_side: bool) -> tuple[SweepRun, Outcome]:
        if run.name == "duet-raw-seed0":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)  # the pool is gone long before
        return run, Outcome("done")

    monkeypatch.setattr(sweep, "_work", work)
    with pytest.raises(RunError, match=r"2 of 2 runs failed .*\n.*duet-raw-seed0.*was killed"):
        run_sweep(tmp_path, runs, jobs=2)
    assert set(_states(tmp_path).values()) == {"failed"}
