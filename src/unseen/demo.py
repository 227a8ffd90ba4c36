"""The demo: from nothing to a report and an anonymized clip, on two CPU cores, in minutes."""

import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from joblib import Parallel, delayed

from unseen.anonymizers.load import load_anonymizer
from unseen.config import EvaluationConfig, RunConfig, load_config
from unseen.data.clips import ClipDataset
from unseen.data.duet import FPS, generate
from unseen.data.load import load_data
from unseen.data.video import write_video
from unseen.deploy.apply import anonymize_video
from unseen.errors import RunError
from unseen.evaluation.evaluate import evaluate
from unseen.evaluation.results import read_result
from unseen.machine import use_cores
from unseen.report.page import write_report
from unseen.training.folder import CONFIG_FILE, TRAINING_FILE, run_config
from unseen.training.run import train

BASELINES = ("raw", "downsample:8")
# Baselines meet the first few attackers only: their leak is then a lower bound, which favours them.
BASELINE_ATTACKERS = 2
CLIP_SIZE = 240


def run_demo(folder: Path, overrides: Sequence[str] = (), preset: str = "demo") -> Path:
    """Train the filter, and the same filter without the game, measure both and the baselines.

    What is already there is kept: an interrupted demo goes on.

    Args:
        folder: gets `report.html`, `results/*.json`, `filter/`, `limits-only/`, `clip.mp4` and
            `clip.anonymized.mp4`.
        overrides: of the preset.
        preset: `demo`, or another that is about generated data.

    Returns:
        The report.
    """
    start = time.perf_counter()
    config = load_config(preset, overrides)
    runs = {
        "filter": config,
        "limits-only": load_config(None, ["game.objective=none"], base=config),
    }
    for name, wanted in runs.items():
        # Results of other settings would be taken for results of these.
        if (folder / name / CONFIG_FILE).exists() and run_config(folder / name) != wanted:
            raise RunError(f"{folder} holds a demo with other settings; name another folder")
    say = _Clock(start)
    say("generating duet")
    data = load_data(config.data, jobs=config.evaluation.jobs)
    files = {
        name: folder / "results" / f"{name.replace(':', '-')}.json" for name in (*runs, *BASELINES)
    }
    brief = config.evaluation.model_copy(update={"attackers": BASELINE_ATTACKERS})
    missing = {name: c for name, c in runs.items() if not _trained(folder / name)}
    if missing:
        say(f"training {' and '.join(missing)} side by side, then attacking {BASELINES[0]}")
        tasks = [delayed(_train)(c, data, folder / name) for name, c in missing.items()]
        # Training without the game ends first; its processor has time for a baseline.
        alone = brief.model_copy(update={"jobs": 1})
        if not files[BASELINES[0]].exists():
            tasks.append(delayed(_evaluate)(BASELINES[0], data, files[BASELINES[0]], alone))
        Parallel(n_jobs=config.evaluation.jobs, mmap_mode="c")(tasks)
    for name, out in files.items():
        if out.exists():
            result = read_result(out)
        else:
            say(f"attacking {name}")
            subject = folder / name if name in runs else name
            settings = config.evaluation if name == "filter" else brief
            result = evaluate(subject, data, out, settings)
        stored = result["codec"] or result
        say(
            f"  {name}: A_T {100 * stored['target']['retrained_accuracy']:.1f}%, "
            f"leak {100 * stored['privacy']['leak']:.1f}% "
            f"(chance {100 * stored['privacy']['chance']:.1f}%), through the codec"
        )
    say("anonymizing a clip")
    clip = folder / "clip.mp4"
    frames = generate(config.data.seed, "test", 3, size=CLIP_SIZE, frames=32).frames
    write_video(clip, frames, rate=Fraction(FPS))
    anonymize_video(clip, folder / "clip.anonymized.mp4", load_anonymizer(folder / "filter"))
    report = folder / "report.html"
    write_report(list(files.values()), report)
    say(f"done: {report}")
    return report


def _trained(folder: Path) -> bool:
    return (folder / TRAINING_FILE).exists()


def _train(config: RunConfig, data: ClipDataset, folder: Path) -> None:
    use_cores(config.train.threads)
    train(config, data, folder, resume=(folder / "config.json").exists())


def _evaluate(name: str, data: ClipDataset, out: Path, settings: EvaluationConfig) -> None:
    use_cores(1)
    evaluate(name, data, out, settings)


class _Clock:
    """Prints what begins, with the time since the start."""

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, what: str) -> None:
        seconds = int(time.perf_counter() - self.start)
        print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {what}", flush=True)
