"""The folder of a run: what is in it, what may be started there, what is written at the end."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError

from unseen.anonymizers.learned import (
    CONTRACT_FILE,
    FilterConfig,
    LearnedFilter,
    save_filter,
)
from unseen.config import DataConfig, RunConfig
from unseen.data.clips import ClipDataset
from unseen.data.seen import SEEN_FILE, clip_digests, read_seen, write_seen
from unseen.errors import ConfigError, RunError, together
from unseen.files import refuse_unwritable, write_json
from unseen.models import create_model
from unseen.overrides import damage
from unseen.registry import Spec
from unseen.stored_weights import save_weights
from unseen.training.game import Game
from unseen.training.processes import refuse_machine
from unseen.training.state import STAGES, State

CONFIG_FILE = "config.json"
CHECKPOINT = "checkpoint.safetensors"
TARGET_FILE = "target.safetensors"
TRAINING_FILE = "training.json"
STAGE_FILE = "stage-{}.safetensors"
# Settings of a machine, of filters and of face modifiers: other ones there do not make another
# experiment, though other numbers come out by rounding and, of `train.devices`, by other noise and
# by what BatchNorm normalises over. Data may have moved: their hash, or the people in them, is
# compared where they are learned from. Of a person detector, which finds boxes to measure with, a
# sweep compares weights.
MACHINE_SETTINGS = frozenset(
    {
        "data.root", "data.private_root", "data.test_on_root", "data.actions_root", "data.cache",
        "data.lazy", "data.person_detector", "train.device", "train.devices", "train.threads",
        "train.checkpoint_every", "evaluation.device", "evaluation.jobs", "evaluation.previews",
    }
)  # fmt: skip
# What one schedule alone uses, by that schedule: elsewhere its value is none of the experiment.
_OF_SCHEDULE = {"game.bound_target": "three_party", "game.bound_budget": "three_party"}


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        folder: where its weights are.
        target_accuracy: of f_T on all validation clips behind f_D.
        budget_accuracy: of each budget model there; they are not a measure of privacy.
        seconds: of training.
        notes: what a reader should know: caps that were reached, models that never got strong.
    """

    folder: Path
    target_accuracy: float
    budget_accuracy: tuple[float, ...]
    seconds: float
    notes: tuple[str, ...]


def refuse(config: RunConfig, folder: Path, *, resume: bool) -> None:
    """Raise if this run cannot be started or resumed in this folder, or on this machine.

    Cheap, so that a caller can ask before it loads data.
    """
    there: Callable[[], object] = partial(_refuse_folder, config, folder, resume=resume)
    checks = [*_checks(config), there]
    together(ConfigError, f"{folder} cannot be trained so", checks)


def refuse_training(config: RunConfig) -> None:
    """Raise where f_D, f_T, a budget model or the device cannot be had; all of them are tried."""
    together(ConfigError, "the game cannot be played so", _checks(config))


def _checks(config: RunConfig) -> list[Callable[[], object]]:
    size, frames = config.data.size, config.data.frames
    models = dict.fromkeys((config.target_model, *config.budget_models))
    checks: list[Callable[[], object]] = [partial(refuse_machine, config.train)]
    checks.append(partial(_refuse_same_column, config.data))
    checks.append(partial(_try_filter, config.filter, size))
    checks += [partial(_try_model, name, size, frames) for name in models]
    return checks


def _refuse_same_column(data: DataConfig) -> None:
    if data.private_name is None and data.target in data.private:
        raise ConfigError(
            f"the filter cannot both keep and hide '{data.target}': name another column by "
            "--target or --private"
        )


@cache
def _try_filter(config: FilterConfig, size: int) -> None:
    with torch.device("meta"):  # which keeps no weights: neither memory nor time is needed
        LearnedFilter(config, size=size)


@cache
def _try_model(name: str, size: int, frames: int) -> None:
    # Weights at hand must be read to be tried.
    with torch.device("cpu" if "@" in name else "meta"):
        create_model(name, 2, size=size, frames=frames)


def _refuse_folder(config: RunConfig, folder: Path, *, resume: bool) -> None:
    refuse_used_folder(folder, resume=resume)
    if not resume:
        return
    # Read as a configuration: settings that are newer than the run stand at their defaults.
    changed = changed_settings(run_config(folder), config)
    # It is measured afterwards: that is no part of the training.
    refuse_other_settings(folder, [key for key in changed if not key.startswith("evaluation.")])


def refuse_used_folder(folder: Path, *, resume: bool) -> Path:
    """The file of settings of a run, which is new, or there to be gone on with; or `RunError`."""
    path = folder / CONFIG_FILE
    if not resume and path.exists():
        raise RunError(f"{folder} already holds a run; go on with --resume or name another folder")
    if resume and not path.exists():
        raise RunError(f"{folder} holds no run to resume; start it without --resume")
    if not resume:
        written = [folder / name for name in (CONTRACT_FILE, TRAINING_FILE, SEEN_FILE)]
        for there in (*folder.glob("*.safetensors"), *filter(Path.exists, written)):
            raise RunError(f"{there} is there and might be replaced: name another folder")
        refuse_unwritable(path)
    return path


def refuse_other_settings(folder: Path, changed: Sequence[str]) -> None:
    """Raise where a run is to be resumed with other settings than it was started with."""
    if changed:
        raise RunError(
            f"{folder} was started with other settings ({', '.join(changed)}); resume it with the "
            "same ones, or start a new run"
        )


def changed_settings(one: BaseModel, other: BaseModel) -> list[str]:
    """The dotted names of what differs in two configurations, but for `MACHINE_SETTINGS` and for
    what neither of them uses.
    """
    a, b = (dict(flat(config.model_dump(mode="json"))) for config in (one, other))
    return differing(a, b, a.keys() | b.keys())


def differing(one: Mapping[str, Any], other: Mapping[str, Any], keys: Set[str]) -> list[str]:
    """`changed_settings` of settings by their dotted names (`flat`), and of these keys alone."""
    differ = {key for key in keys if one.get(key) != other.get(key)}
    schedules = {settings.get("game.schedule") for settings in (one, other)}
    unused = {key for key, schedule in _OF_SCHEDULE.items() if schedule not in schedules}
    return sorted(differ - MACHINE_SETTINGS - unused)


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings by their dotted names."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def run_config(folder: Path) -> RunConfig:
    """The configuration that a run was trained with."""
    path, text = folder / CONFIG_FILE, ""
    try:
        text = path.read_text(encoding="utf-8")
        return RunConfig.model_validate_json(text)
    except OSError:
        raise RunError(f"{folder} is not a run: {CONFIG_FILE} is missing") from None
    except ValidationError as error:
        if '"kind": "faces"' in text:
            raise no_filter(folder) from None
        raise RunError(f"{path} is damaged: {damage(error)}") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: it is no text") from error


def no_filter(folder: Path | str) -> RunError:
    """What to raise where a filter is asked for, and a face modifier was named."""
    return RunError(
        f"{folder} is a face modifier, not a filter of whole frames; measure it with `unseen "
        "verify-faces` and `unseen evaluate-actions`"
    )


def refuse_seen(run: RunConfig, data: DataConfig) -> None:
    """Raise where a run may have been trained on the videos that it is to be tested on."""
    if data.test_on is not None and run.data.test_on != data.test_on:
        raise RunError(
            f"the videos of {data.test_on} are among those that this run may have been trained on; "
            f"train it with --test-on {data.test_on}, which leaves them out"
        )
    pairs = zip(_sources(run.data), _sources(data), strict=True)
    differ = [key for key in ("frames", "stills") if getattr(run.data, key) != getattr(data, key)]
    if differ and any(one == other for one, other in pairs if one and one != "duet"):
        told = ", ".join(f"data.{key}={getattr(run.data, key)}" for key in differ)
        raise RunError(
            f"this run learned with {told}; clips made otherwise cannot be compared with those "
            "that it has seen, and so not be told from them: leave that as it was"
        )


def _sources(data: DataConfig) -> list[str | None]:
    """What the two data sets are, whatever their split: a published one, a manifest, `duet`."""
    return [
        name and (".csv" if name.lower().endswith(".csv") else Spec.parse(name).name)
        for name in (data.name, data.private_name)
    ]


def with_its_split(run: RunConfig, data: DataConfig) -> DataConfig:
    """The data to measure a run on: a split that is drawn stays that of its training."""
    if data.name != run.data.name or data.split_by is not None:
        return data
    # Of the same columns too: a further target model is trained without the private ones. Other
    # private data have none of the run's.
    private = run.data.private if data.private_name == run.data.private_name else data.private
    return data.model_copy(update={"split_by": (run.data.target, *private)})


def _learned(part: ClipDataset) -> set[str]:
    return {*clip_digests(part.train.clips), *clip_digests(part.val.clips)}


def _parts(data: ClipDataset) -> list[ClipDataset]:
    return [data] if data.other is None else [data, data.other]


def refuse_seen_clips(folder: Path, data: ClipDataset) -> None:
    """Raise `RunError` where a run was trained on clips that it is to be tested on.

    Such as a data set has in its own train and test both are its own affair. Runs that did not
    keep what they saw are let pass.
    """
    seen = read_seen(folder, "clips")
    for found in () if seen is None else _tested_on(data, seen):
        raise RunError(
            f"{found} were seen when {folder} was trained: measure it with the split it was "
            "trained with (the same data.seed, and data.split_by where columns differ), or on "
            "other videos"
        )


def refuse_shared_clips(data: ClipDataset) -> None:
    """Raise `RunError` where, of two data sets, one is tested on what the other is learned from.

    No evaluation would take a filter that was trained so.
    """
    if data.other is not None:
        for found in _tested_on(data):
            raise RunError(
                f"{found} are in train or val of the other data set: name the split in a column "
                "'split' of the manifests, or draw both by the same columns (data.split_by)"
            )


def _seen(data: ClipDataset) -> set[str]:
    return set().union(*map(_learned, _parts(data)))


def _tested_on(data: ClipDataset, seen: Set[str] | None = None) -> Iterator[str]:
    """How many test clips are among those seen, leaving out what a data set shares with itself.

    None: what either of the two is learned from was seen.
    """
    parts = _parts(data)
    learned = [_learned(part) for part in parts]
    every = set().union(*learned) if seen is None else seen
    for part, own in zip(parts, learned, strict=True):
        tested = clip_digests(part.test.clips)
        count = sum(digest in every and digest not in own for digest in tested)
        if count:
            yield f"{count} of the {len(tested)} test clips of {part.name}"


def stage_lengths(config: RunConfig) -> dict[str, int]:
    """How many steps each stage has, in order."""
    train = config.train
    lengths = (
        train.init_reconstruct,
        train.init_target_alone,
        train.init_target,
        train.init_budget if config.ensemble else 0,
        train.steps,
        train.finish,
    )
    return dict(zip(STAGES, lengths, strict=True))


def first_steps(config: RunConfig) -> dict[str, int]:
    """At which step each stage begins, counted over the whole run."""
    lengths = list(stage_lengths(config).values())
    return {name: sum(lengths[:i]) for i, name in enumerate(STAGES)}


def write_run(game: Game, state: State, trained: Trained) -> None:
    """Write the finished filter, f_T, and the account of the training."""
    folder, config, data = trained.folder, game.config, game.data
    about: dict[str, Any] = {
        "data": data.name,
        "data_hash": data.hash,
        "target": {"column": data.target.name, "classes": list(data.target.classes)},
        "private": {"column": data.private.name, "classes": list(data.private.classes)},
        "validation": {"target": trained.target_accuracy, "budget": trained.budget_accuracy},
        "fps": data.fps,
        "steps": config.train.steps,
    }
    if data.other is not None:
        about["private_data"] = {"data": data.other.name, "data_hash": data.other.hash}
    write_seen(folder, "clips", _seen(data))
    save_filter(game.filter, folder, about)
    save_weights(game.target, folder / TARGET_FILE)
    first = first_steps(config)
    write_json(
        folder / TRAINING_FILE,
        {
            "preset": config.preset,
            "seconds": trained.seconds,
            "steps": game.moves,
            "rows": state.rows,
            "restarts": [first["game"] + r["step"] for r in state.restarts],
            "restart_details": state.restarts,
            "stages": [
                {"name": name, "step": step, "note": ""}
                for name, step in first.items()
                if name != "finish"
            ],
            "notes": list(trained.notes),
        },
    )
