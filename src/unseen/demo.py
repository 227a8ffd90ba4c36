"""The demo: from nothing to a report and an anonymized clip, on two CPU cores, in minutes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
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
from unseen.files import refuse_unwritable
from unseen.machine import use_cores
from unseen.report.page import write_report
from unseen.training.folder import CONFIG_FILE, TRAINING_FILE, changed_settings, run_config
from unseen.training.run import train_among_others

# How many attackers each baseline meets, the first of the suite: its leak is then a lower bound,
# which favours the baseline. One is enough to read nearly everyone off handcrafted ones.
BASELINES = {"raw": 1, "downsample:8": 1}
LIMITS_ATTACKERS = 2
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
    refuse_unwritable(folder / "report.html")
    runs = {
        "filter": config,
        "limits-only": load_config(None, ["game.objective=none"], base=config),
    }
    for name, wanted in runs.items():
        # Results of other settings would be taken for results of these.
        if not (folder / name / CONFIG_FILE).exists():
            continue
        changed = changed_settings(run_config(folder / name), wanted)
        if changed:
            raise RunError(
                f"{folder} holds a demo with other settings ({', '.join(changed)}); name another "
                "folder"
            )
    say = _Clock(start)
    say("generating duet")
    data = load_data(config.data, jobs=config.evaluation.jobs)
    files = {
        name: folder / "results" / f"{name.replace(':', '-')}.json" for name in (*runs, *BASELINES)
    }
    # One process each: that fills the processors better than one after the other with several.
    single = config.evaluation.model_copy(update={"jobs": 1})
    counts = {"filter": config.evaluation.attackers, "limits-only": LIMITS_ATTACKERS, **BASELINES}
    settings = {
        name: single.model_copy(update={"attackers": count}) for name, count in counts.items()
    }
    jobs = [
        _Job(name, runs.get(name), folder / name, None if name == "filter" else out, settings[name])
        for name, out in files.items()
    ]
    jobs = [job for job in jobs if job.training or job.attacking]
    for job in jobs:
        say(f"to do: {job}")

    def attack_filter() -> None:
        if not files["filter"].exists():
            say(f"attacking filter with {config.evaluation.attackers} networks")
            evaluate(folder / "filter", data, files["filter"], config.evaluation)

    lanes, left = config.evaluation.jobs, len(jobs)
    side_by_side = Parallel(n_jobs=lanes, mmap_mode="c", return_as="generator_unordered")
    for done in side_by_side(delayed(_work)(job, data) for job in jobs):
        say(f"done: {done}")
        left -= 1
        if left < lanes and (folder / "filter" / TRAINING_FILE).exists():
            attack_filter()  # by the processes that have nothing left, and then by all
    attack_filter()
    for name, out in files.items():
        result = read_result(out)
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


@dataclass(frozen=True)
class _Job:
    """What one process does by itself: train a run, attack it or a baseline, or both.

    Attributes:
        name: of the run or the baseline.
        config: of the run; None for a baseline.
        folder: of the run.
        out: the result file; None: not to be attacked here.
        settings: of the attack.
    """

    name: str
    config: RunConfig | None
    folder: Path
    out: Path | None
    settings: EvaluationConfig

    @property
    def training(self) -> bool:
        return self.config is not None and not (self.folder / TRAINING_FILE).exists()

    @property
    def attacking(self) -> bool:
        return self.out is not None and not self.out.exists()

    def __str__(self) -> str:
        parts = ["training"] * self.training + ["attacking"] * self.attacking
        return f"{' and '.join(parts)} {self.name}"


def _work(job: _Job, data: ClipDataset) -> str:
    what = str(job)
    if job.config is not None and job.training:
        use_cores(job.config.train.threads)
        train_among_others(job.config, data, job.folder)
    if job.out is not None and job.attacking:
        use_cores(1)
        evaluate(job.folder if job.config else job.name, data, job.out, job.settings)
    return what


class _Clock:
    """Prints what begins, with the time since the start."""

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, what: str) -> None:
        seconds = int(time.perf_counter() - self.start)
        print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {what}", flush=True)
