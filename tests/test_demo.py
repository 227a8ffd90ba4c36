"""The demo at its smallest: every file it promises, and nothing made twice."""

from pathlib import Path

import pytest

from unseen.config import load_config
from unseen.demo import BASELINES, LIMITS_ATTACKERS, run_demo
from unseen.errors import RunError
from unseen.evaluation.results import read_previews, read_result
from unseen.training.folder import run_config
from video_files import decode

TINY = (
    "data.size=16", "data.frames=4", "data.train=26", "data.val=13", "data.test=13",
    "filter.width=8", "filter.blocks=1", "target_model=c3d-small:4",
    "budget_models=mobilenet-gn:0.01", "train.device=cpu", "train.batch=8", "train.init_target=2",
    "train.init_budget=1", "train.steps=2", "train.finish=1", "train.log_every=2",
    "evaluation.target_model=c3d-small:4", "evaluation.attackers=4", "evaluation.jobs=2",
    "evaluation.target_fit.cap=1", "evaluation.attacker_fit.cap=1", "evaluation.draws=1",
    "evaluation.target_fit.epoch_clips=26", "evaluation.attacker_fit.epoch_clips=26",
)  # fmt: skip
RESULTS = ("filter", "limits-only", *BASELINES)


def _times(folder: Path) -> dict[str, int]:
    kept = [*folder.glob("results/*"), *folder.glob("filter/*"), *folder.glob("limits-only/*")]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in kept}


@pytest.mark.slow
def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    assert run_demo(folder, TINY) == folder / "report.html"
    told = capsys.readouterr().out
    for what in ("training filter", "training and attacking limits-only", "attacking raw"):
        assert f"to do: {what}\n" in told
        assert f"done: {what}\n" in told
    page = (folder / "report.html").read_text()

    results = {}
    for name in RESULTS:
        path = folder / "results" / f"{name.replace(':', '-')}.json"
        results[name] = read_result(path)
        assert read_previews(path) is not None
        assert f"attacking {name}" in told
        assert f"  {name}: A_T " in told
        assert name in page
    assert len(list((folder / "results").glob("*.json"))) == len(RESULTS)
    for name, result in results.items():
        assert result["name"] == name
        assert result["codec"] is not None
        count = {"filter": 4, "limits-only": LIMITS_ATTACKERS, **BASELINES}[name]
        assert len(result["privacy"]["attackers"]) == count
        assert result["anonymizer"]["kind"] == ("handcrafted" if name in BASELINES else "learned")
    assert len({result["data"]["hash"] for result in results.values()}) == 1

    # The two runs differ in the game alone.
    config, plain = run_config(folder / "filter"), run_config(folder / "limits-only")
    assert config == load_config("demo", TINY)
    assert plain.game.objective == "none" != config.game.objective
    other = {"game": config.game.model_copy(update={"objective": "none"})}
    assert plain == config.model_copy(update=other)

    raw, anonymized = (decode(folder / f"clip{mark}.mp4") for mark in ("", ".anonymized"))
    assert raw[0].shape == anonymized[0].shape == (32, 240, 240, 3)
    assert raw[1] == anonymized[1]
    assert abs(raw[0].astype(int) - anonymized[0]).mean() > 10
    assert not list(folder.rglob(".*"))

    # Called again it goes on: nothing is left to train or to attack, what is missing is made.
    before = _times(folder)
    assert len(before) > 20
    weights = (folder / "limits-only" / "anonymizer.safetensors").read_bytes()
    (folder / "limits-only" / "training.json").unlink()  # as if interrupted before its end
    (folder / "results" / "raw.json").unlink()
    run_demo(folder, TINY)
    told = capsys.readouterr().out
    assert "to do: training limits-only\n" in told
    assert "to do: attacking raw\n" in told
    assert told.count("to do") == 2
    assert (folder / "limits-only" / "anonymizer.safetensors").read_bytes() == weights
    after = _times(folder)
    changed = {name for name in before if after[name] != before[name]}
    assert {name for name in changed if not name.startswith("limits-only/")} == {
        "results/raw.json", "results/raw.clips.npz",
    }  # fmt: skip

    # Results of other settings are not passed off as those of these.
    with pytest.raises(RunError, match=r"a demo with other settings \(game.gamma\); name another"):
        run_demo(folder, [*TINY, "game.gamma=3", "train.threads=1"])
    assert _times(folder) == after
