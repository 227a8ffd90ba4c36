"""A sweep: many runs of one experiment, trained and measured, each at several seeds.

`FOLDER/runs/NAME-seedK` are the runs, `FOLDER/results/NAME-seedK.json` their results, and
`FOLDER/sweep.json` says how each stands. What is there is kept: a sweep that was killed, or copied
to another machine half done, goes on when it is called again.
"""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from joblib import Parallel, delayed
from pydantic import ValidationError

from unseen.config import SEEDS, DataConfig, EvaluationConfig, RunConfig, load_config, preset_names
from unseen.data.clips import ClipDataset
from unseen.data.find_boxes import body_source
from unseen.data.load import find_data, has_boxes, load_data
from unseen.errors import ConfigError, Faults, RunError, UnseenError, together
from unseen.evaluation.evaluate import (
    evaluate,
    needed_boxes,
    refuse_attacks,
    refuse_evaluation,
)
from unseen.evaluation.results import read_result, worst_privacy
from unseen.families.family import find_members, members, unknown_preset
from unseen.files import read_json, refuse_unwritable, write_json, write_text
from unseen.machine import use_cores
from unseen.models.person_detector import person_weights
from unseen.overrides import SEED_LIMIT
from unseen.report.entries import SWEEP_FILE
from unseen.training.folder import (
    CONFIG_FILE,
    STAGE_FILE,
    TRAINING_FILE,
    changed_settings,
    refuse_training,
    run_config,
)
from unseen.training.run import train_among_others
from unseen.training.state import STAGES

SCHEMA = "unseen/sweep/1"
_ASKED = "what the sweep is to do is not clear"

State = Literal["to do", "done", "failed"]


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        name: of its folder and its result.
        config: its settings.
        anonymizer: a handcrafted one; None: trained.
        folder: of the run; a handcrafted one has none.
        result: the file that it ends in.
    """

    name: str
    config: RunConfig
    anonymizer: str | None
    folder: Path
    result: Path

    @property
    def training(self) -> bool:
        """Whether there is anything left to train."""
        return self.anonymizer is None and not (self.folder / TRAINING_FILE).exists()

    @property
    def left(self) -> str:
        """What is left to do."""
        if self.result.exists():
            return "nothing"
        begun = (self.folder / CONFIG_FILE).exists()
        training = "train, " if not begun else "resume training, "
        return f"{training if self.training else ''}evaluate"


@dataclass(frozen=True)
class Outcome:
    """How a run ended, as `sweep.json` keeps it.

    Attributes:
        state: of the run.
        seconds: that it took, training and evaluation, this time.
        error: why it failed.
    """

    state: State
    seconds: float = 0.0
    error: str | None = None


def plan(
    folder: Path, names: Sequence[str], overrides: Sequence[str] = (), seeds: Sequence[int] = (0,)
) -> list[SweepRun]:
    """What a sweep consists of, in the order in which it is done: seed by seed.

    Args:
        folder: of the sweep.
        names: presets, members of families, or all of them that a name or a pattern stands for
            (`sbu`, `sbu-entropy`, `duet-*-m4`); handcrafted anonymizers by their member's name.
        overrides: `key=value`, of every run.
        seeds: of weights, batches, noise and attackers; the data stay as they are.

    Raises:
        UnseenError: names, seeds or settings that cannot be used, or that are not those of what
            the folder holds; or a folder that nothing can be written into.
    """
    faults = Faults()
    with faults.collected():
        refuse_unwritable(folder / SWEEP_FILE)
    with faults.collected():
        ledger = _Ledger(folder)
    with faults.collected():
        named = [o for o in overrides if o.partition("=")[0] in SEEDS]
        if named:
            raise ConfigError(f"{', '.join(named)}: the seeds of a sweep are named by --seeds")
    with faults.collected():
        if not seeds or len(set(seeds)) < len(seeds):
            raise ConfigError("seeds: name each once, as in 0,1,2")
        if min(seeds) < 0 or max(seeds) >= SEED_LIMIT:
            raise ConfigError(f"seeds: whole numbers from 0 to {SEED_LIMIT - 1}, as in 0,1,2")
    chosen: dict[str, str | None] = {}
    for name in names:
        with faults.collected():
            chosen |= _named(name)
    configs: dict[str, RunConfig] = {}
    for name in chosen:
        with faults.collected():
            configs[name] = load_config(name, overrides)
            member = members().get(name)
            if member and member.line and not member.fits(configs[name].model_dump(mode="json")):
                raise ConfigError(
                    f"{name} would not be what it is called after: leave budget_models and "
                    "game.restart_... as they are, or choose another member"
                )
    if not chosen:  # the settings are looked at all the same
        with faults.collected():
            load_config(None, overrides)
    for check in _checks(configs, [name for name in configs if chosen[name] is None]):
        with faults.collected():
            check()
    for data in _data_left(folder, configs, seeds):
        with faults.collected():
            find_data(data)
    faults.refuse(_ASKED, ConfigError)
    runs = [
        SweepRun(
            name=f"{name}-seed{seed}",
            config=load_config(None, [f"{key}={seed}" for key in SEEDS], base=configs[name]),
            anonymizer=anonymizer,
            folder=folder / "runs" / f"{name}-seed{seed}",
            result=folder / "results" / f"{name}-seed{seed}.json",
        )
        for seed in seeds
        for name, anonymizer in chosen.items()
    ]
    adversaries = [
        partial(refuse_evaluation, run.config.evaluation, run.config.budget_models)
        for run in runs[: len(chosen)]
        if run.anonymizer is None
    ]
    together(ConfigError, _ASKED, adversaries)
    others = [fault for run in runs for fault in _other_settings(run, ledger)]
    if others:
        raise ConfigError(
            f"{folder} holds runs with other settings; name another folder, or delete them:", others
        )
    return runs


def _data_left(
    folder: Path, configs: Mapping[str, RunConfig], seeds: Sequence[int]
) -> list[DataConfig]:
    """The data that is needed for what has no result yet, each once."""
    needed: list[DataConfig] = []
    for name, config in configs.items():
        results = (folder / "results" / f"{name}-seed{seed}.json" for seed in seeds)
        if config.data not in needed and not all(result.exists() for result in results):
            needed.append(config.data)
    return needed


def _named(name: str) -> dict[str, str | None]:
    """The presets that a name stands for, with the anonymizer of those that are not trained."""
    if name in preset_names():
        return {name: None}
    found = find_members(name)
    if not found:
        raise unknown_preset(name, preset_names())
    return {member.name: member.anonymizer for member in found}


def _checks(configs: Mapping[str, RunConfig], trained: Sequence[str]) -> list[Callable[[], object]]:
    """What raises where a run could not be trained, or not be measured after it."""
    every = configs.values()
    detectors = dict.fromkeys(config.data.person_detector for config in every)
    return [
        *(partial(person_weights, named) for named in detectors if named is not None),
        *(partial(refuse_training, configs[name]) for name in trained),
        *(partial(refuse_evaluation, config.evaluation) for config in every),
        *(partial(refuse_attacks, config.evaluation, config.data) for config in every),
    ]


def _other_settings(run: SweepRun, ledger: "_Ledger") -> Iterator[str]:
    """How the settings of what is there differ from those that are wanted."""
    try:
        stored = _stored(run, ledger)
    except (UnseenError, ValidationError, KeyError, TypeError) as error:
        yield f"{run.name}: cannot be read: {str(error).splitlines()[0]}"
        return
    if stored is None:
        return
    changed = changed_settings(stored, run.config)
    if _other_boxes(run):
        changed.append("data.person_detector")
    if changed:
        yield f"{run.name}: {', '.join(changed)}"


def _other_boxes(run: SweepRun) -> bool:
    """Whether the bodies of a result were found by another detector than the one that is named."""
    named = run.config.data.person_detector
    if named is None or not run.result.exists():
        return False
    data = read_result(run.result)["data"]
    sources = [*data.get("boxes", ()), *data.get("private_data", {}).get("boxes", ())]
    bodies = [source for source in sources if source["kind"] == "body"]
    return bool(bodies) and asdict(body_source(named)) not in bodies


def _stored(run: SweepRun, ledger: "_Ledger") -> RunConfig | None:
    """The settings of the result, or of the training that was begun."""
    if run.result.exists():
        used = read_result(run.result)["configuration"]
        if used["run"]:
            config = RunConfig.model_validate(used["run"])
        else:  # handcrafted: that of the data alone matters
            noted = used.get("data")
            data = DataConfig.model_validate(noted) if noted else ledger.data(run)
            config = run.config.model_copy(update={"data": data})
        evaluation = EvaluationConfig.model_validate(used["evaluation"])
        return config.model_copy(update={"evaluation": evaluation})
    if (run.folder / CONFIG_FILE).exists():
        return run_config(run.folder).model_copy(update={"evaluation": run.config.evaluation})
    return None


def run_sweep(folder: Path, runs: Sequence[SweepRun], *, jobs: int = 1) -> None:
    """Train and evaluate what is left of a plan; a run that fails does not stop the others.

    Args:
        folder: of the sweep.
        runs: what `plan` returned for this folder.
        jobs: runs side by side, each with attackers one after the other; 1: one run after the
            other, with `evaluation.jobs` attackers side by side.

    Raises:
        RunError: at the end, with every run that failed and why.
    """
    ledger = _Ledger(folder)
    for run in runs:
        ledger.note(run, Outcome("done" if run.result.exists() else "to do"))
    left = [run for run in runs if not run.result.exists()]
    ledger.write()
    print(f"{folder}: {len(runs)} runs, {len(left)} to do", flush=True)
    count = 0
    for group in _by_data(left):
        try:
            config = group[0].config
            data = load_data(
                config.data, jobs=config.evaluation.jobs, boxes=needed_boxes(group[0].anonymizer)
            )
        except Exception as error:
            told = _told(error, group[0])
            outcomes = iter([(run, Outcome("failed", 0.0, told)) for run in group])
        else:
            outcomes = _outcomes(group, data, jobs)
        for run, outcome in outcomes:
            count += 1
            ledger.note(run, outcome)
            ledger.write()
            print(f"[{count}/{len(left)}] {run.name}: {_in_words(run, outcome)}", flush=True)
    failed = ledger.failed([run.name for run in runs])
    if failed:
        lines = [f"{', '.join(names)}: {error}" for error, names in failed.items()]
        total = sum(map(len, failed.values()))
        raise RunError(
            f"{total} of {len(runs)} runs failed (call the sweep again to try them again):",
            lines,
        )


def _outcomes(
    group: Sequence[SweepRun], data: ClipDataset, jobs: int
) -> Iterator[tuple[SweepRun, Outcome]]:
    """How runs of the same data end; where a process is killed, all that are left have failed."""
    side_by_side = Parallel(n_jobs=jobs, mmap_mode="c", return_as="generator_unordered")
    left = {run.name: run for run in group}
    done: Iterable[tuple[SweepRun, Outcome]] = side_by_side(
        delayed(_work)(run, data, jobs > 1) for run in group
    )
    try:
        for run, outcome in done:
            del left[run.name]
            yield run, outcome
    except BrokenExecutor:
        killed = "a worker process was killed, most often for want of memory; try fewer --jobs"
        for run in left.values():
            yield run, Outcome("failed", 0.0, killed)


def _by_data(runs: Sequence[SweepRun]) -> list[list[SweepRun]]:
    """Runs of the same data and boxes together: clips are read or generated once for them."""
    groups: dict[str, list[SweepRun]] = {}
    for run in runs:
        found = () if has_boxes(run.config.data) else needed_boxes(run.anonymizer)
        key = f"{run.config.data.model_dump_json()} {found}"
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def _work(run: SweepRun, data: ClipDataset, side_by_side: bool) -> tuple[SweepRun, Outcome]:
    """Train and evaluate one run, in a process of its own where there are several."""
    start = time.monotonic()
    settings = run.config.evaluation
    if side_by_side:
        settings = settings.model_copy(update={"jobs": 1})
        use_cores(run.config.train.threads)
    try:
        if run.training:
            train_among_others(run.config, data, run.folder)
        evaluate(run.anonymizer or run.folder, data, run.result, settings)
        # Gigabytes a run at the papers' sizes; only the last checkpoint is ever gone on from.
        for stage in STAGES:
            (run.folder / STAGE_FILE.format(stage)).unlink(missing_ok=True)
    except Exception as error:
        return run, Outcome("failed", time.monotonic() - start, _told(error, run))
    return run, Outcome("done", time.monotonic() - start)


def _told(error: Exception, run: SweepRun) -> str:
    """The words of an error; one of no known kind, such as a full GPU's, is kept beside the run."""
    if isinstance(error, UnseenError | OSError):
        return str(error)
    where = run.folder.with_name(f"{run.folder.name}.error.txt")
    write_text(where, "".join(traceback.format_exception(error)))
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]} (see {where})"


def _in_words(run: SweepRun, outcome: Outcome) -> str:
    if outcome.state != "done":
        return f"failed: {outcome.error}"
    result = read_result(run.result)
    privacy, _ = worst_privacy(result)
    target = result["target"]
    own = "" if target["accuracy"] is None else f"{100 * target['accuracy']:.1f}%, retrained "
    return (
        f"A_T {own}{100 * target['retrained_accuracy']:.1f}%, "
        f"leak {100 * privacy['leak']:.1f}% by {privacy['best']} ({outcome.seconds:.0f} s)"
    )


class _Ledger:
    """`sweep.json`: how every run that was ever asked for in this folder stands."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / SWEEP_FILE
        self.runs: dict[str, dict[str, Any]] = {}
        if self.path.is_file():
            try:
                runs = read_json(self.path)["runs"]
                self.runs = {name: {**run} for name, run in runs.items()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise RunError(
                    f"{self.path} is damaged; delete it: results and runs are kept, and found again"
                ) from error

    def note(self, run: SweepRun, outcome: Outcome) -> None:
        known = self.runs.get(run.name, {})
        if outcome.state == "done" == known.get("state"):
            return  # with the seconds that it took
        data = run.config.data.model_dump(mode="json")
        self.runs[run.name] = {"preset": run.config.preset, **asdict(outcome), "data": data}

    def data(self, run: SweepRun) -> DataConfig:
        """Of which data a run is whose result does not say it; if nobody noted it, as is wanted."""
        noted = self.runs.get(run.name, {}).get("data")
        return DataConfig.model_validate(noted) if noted else run.config.data

    def write(self) -> None:
        write_json(self.path, {"schema": SCHEMA, "runs": self.runs})

    def failed(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The runs of each error."""
        found: dict[str, list[str]] = {}
        for name in names:
            if self.runs[name]["state"] == "failed":
                found.setdefault(self.runs[name]["error"], []).append(name)
        return found
