"""From an anonymizer and a data set to a result file."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unseen.anonymizers.base import Anonymizer, BoxKind
from unseen.anonymizers.learned import CONTRACT_FILE, LearnedFilter
from unseen.anonymizers.load import load_anonymizer, refuse_device
from unseen.anonymizers.modifier import FaceModifier
from unseen.config import DataConfig, EvaluationConfig, RunConfig
from unseen.data.clips import SPLITS, ClipDataset, refuse_stills
from unseen.data.codec import Codec
from unseen.errors import ConfigError, RunError, WeightsError, together
from unseen.evaluation.attacks import Attacked
from unseen.evaluation.cost import network_cost
from unseen.evaluation.finished import Finished, finished_folder
from unseen.evaluation.protocol import (
    privacy_section,
    run_attacks,
    target_section,
    train_on_versions,
)
from unseen.evaluation.provenance import provenance
from unseen.evaluation.results import (
    SCHEMA,
    Previews,
    previews_path,
    refuse_result_file,
    write_previews,
    write_result,
)
from unseen.evaluation.suite import choose_attackers
from unseen.evaluation.versions import Versions, anonymize_all, refuse_clips
from unseen.files import read_json, refuse_unwritable
from unseen.machine import device_of
from unseen.models import canonical, create_model, parameter_count, without_weights
from unseen.stored_weights import load_weights
from unseen.training.classifier import predict
from unseen.training.folder import (
    TARGET_FILE,
    TRAINING_FILE,
    no_filter,
    refuse_seen_clips,
    run_config,
)
from unseen.types import to_clips

PREVIEWS = 4
TRIED_SIZE = 64


@dataclass(frozen=True)
class Subject:
    """What is to be measured, and by whom.

    Attributes:
        module: the anonymizer.
        name: how results call it.
        run: the configuration of its training; None for a handcrafted one.
        training: its `training.json`, as far as results keep it.
        attackers: none of them a budget model of the run.
        attacks: for each attack beside them, the network that it trains or is judged by.
    """

    module: Anonymizer
    name: str
    run: RunConfig | None
    training: dict[str, Any] | None
    attackers: list[str]
    attacks: dict[str, str]


def prepare(
    anonymizer: str | Path, config: EvaluationConfig, out: Path, size: int = TRIED_SIZE
) -> Subject:
    """Load what is to be measured and refuse, before any work, what would fail after it.

    Args:
        anonymizer: see `evaluate`.
        config: of the evaluation.
        out: the result file.
        size: side of the frames, in pixels, that weights must fit.

    Raises:
        UnseenError: the anonymizer, a setting or `out` cannot be used.
    """
    loading: list[Callable[[], Any]] = [
        partial(load_measurable, anonymizer),
        *_checks(config, ()),
        partial(_refuse_out, out),
    ]
    module = together(ConfigError, f"'{anonymizer}' cannot be measured so", loading)[0]
    folder = Path(anonymizer).resolve() if isinstance(module, LearnedFilter) else None
    run = run_config(folder) if folder else None
    attackers = refuse_evaluation(config, run.budget_models if run else ())
    attacks = {name: canonical(model) for name, model in _attack_models(config).items()}
    for name in (*attackers, *attacks.values(), canonical(config.target_model)):
        if "@" in name:  # weights that are missing or do not fit
            create_model(name, 2, size=size, frames=2)
    return Subject(
        module, folder.name if folder else str(anonymizer), run,
        _training(folder) if folder else None, attackers, attacks,
    )  # fmt: skip


def _refuse_out(out: Path) -> None:
    """Raise where the result, or what is kept beside it, could not be written."""
    refuse_result_file(out, SCHEMA)
    refuse_unwritable(previews_path(out))
    refuse_unwritable(finished_folder(out) / "model.safetensors")


def load_measurable(anonymizer: str | Path) -> Anonymizer:
    """`load_anonymizer`, but for what works on single faces and is measured on them."""
    module = load_anonymizer(anonymizer)
    if isinstance(module, FaceModifier):
        raise no_filter(anonymizer)
    return module


def needed_boxes(anonymizer: str | Path | None) -> tuple[BoxKind, ...]:
    """The kinds of boxes that the data must have for an anonymizer, see `load_data`."""
    kind = None if anonymizer is None else load_anonymizer(anonymizer).needs_boxes
    return () if kind is None else (kind,)


def refuse_evaluation(config: EvaluationConfig, budget_models: Sequence[str] = ()) -> list[str]:
    """Raise where a setting cannot be used, or an adversary was a budget model of the run.

    Returns:
        The attackers, by their canonical names.
    """
    summary = "evaluation: settings cannot be used"
    attackers: list[str] = together(ConfigError, summary, _checks(config, budget_models))[0]
    return attackers


def refuse_attacks(config: EvaluationConfig, data: DataConfig) -> None:
    """Raise, before clips are read, where an attack is for one private column and there are more.

    `evaluate` looks again, at the data: one column may hold yes or no.
    """
    if "retrieve" in config.attacks and (len(data.private) > 1 or data.private == ("all",)):
        raise _for_one_person(", ".join(data.private))


def _for_one_person(private: str) -> ConfigError:
    return ConfigError(
        f"attack 'retrieve' looks for one person; the private attribute {private} "
        "is several yes/no ones: leave it out of evaluation.attacks"
    )


def refuse_settings(config: EvaluationConfig) -> None:
    """Raise where the target model, the device or the codec cannot be used."""
    together(ConfigError, "evaluation: settings cannot be used", _setting_checks(config))


def _checks(config: EvaluationConfig, budget_models: Sequence[str]) -> list[Callable[[], Any]]:
    """What looks at all settings; the first returns the attackers."""
    models = _attack_models(config)
    checks = [partial(choose_attackers, str(config.attackers), budget_models, config.suite)]
    # The networks of these are attackers themselves.
    trained = [models[name] for name in ("retrieve", "curriculum") if name in models]
    checks += [partial(choose_attackers, model, budget_models) for model in trained]
    return [
        *checks,
        *(partial(canonical, model) for model in models.values()),
        *_setting_checks(config),
    ]


def _setting_checks(config: EvaluationConfig) -> list[Callable[[], Any]]:
    checks: list[Callable[[], Any]] = [
        partial(canonical, config.target_model),
        partial(refuse_device, device_of(config.device)),
    ]
    if config.codec is not None:
        checks.append(partial(Codec.parse, config.codec, 2, 2))
    return checks


def _attack_models(config: EvaluationConfig) -> dict[str, str]:
    """For each attack beside the classifiers, the network that it trains or is judged by."""
    models = {
        "reconstruct": config.identifier, "retrieve": config.encoder, "curriculum": config.learner,
    }  # fmt: skip
    return {name: models[name] for name in config.attacks if name in models}


def evaluate(
    anonymizer: str | Path,
    data: ClipDataset,
    out: Path,
    config: EvaluationConfig | None = None,
) -> dict[str, Any]:
    """Measure an anonymizer in two folds and write the result file.

    Args:
        anonymizer: a run's folder or a name, see `load_anonymizer`.
        data: labelled clips; test is read once, at the end. Of two data sets (`clips.across`) the
            target is measured on the one, the leak on the other.
        out: the result file; sample clips go beside it, and, while it is not written, models that
            are done: called again after it was killed, it goes on with those that are left.
        config: see `EvaluationConfig`.

    Returns:
        The result, as in the file.
    """
    start = time.perf_counter()
    config = config or EvaluationConfig()
    config = config.model_copy(update={"device": device_of(config.device)})
    subject = prepare(anonymizer, config, out, int(data.test.clips.shape[2]))
    _refuse_data(subject, data)
    if subject.run is not None:
        refuse_seen_clips(Path(anonymizer), data)
    module, run = subject.module, subject.run
    target = _own_target(Path(anonymizer), run, data).to(config.device) if run else None
    refuse_stills(module, data.private_data)
    anonymized = partial(
        anonymize_all, module, codec=config.codec, draws=config.draws, seed=config.seed,
        device=config.device, jobs=config.jobs,
    )  # fmt: skip
    versions = anonymized(data)
    others = None if data.other is None else anonymized(data.other)
    finished = Finished.of(
        finished_folder(out), data, [versions, *([] if others is None else [others])], config.device
    )
    fresh, measured = train_on_versions(
        data, versions, config.target_model, subject.attackers,
        target_fit=config.target_fit, attacker_fit=config.attacker_fit,
        jobs=config.jobs, device=config.device, private_versions=others,
        finished=finished,
    )  # fmt: skip
    # Pictures that no file may show are not made.
    shown = _shown(data)
    reconstructed = shown if data.other is None and _raw_shown(data, config) else []
    attacks = run_attacks(
        data.private_data, others or versions, subject.attacks, fit=config.attacker_fit,
        jobs=config.jobs, device=config.device, shown=reconstructed,
        finished=finished,
    )  # fmt: skip
    views = versions["test"].views()
    own = [predict(target, view, config.device) if target else None for view in views]

    def figures(view: int) -> dict[str, Any]:
        return {
            "target": target_section(data, fresh, own[view], view, config.seed),
            "privacy": privacy_section(data, measured, view, config.seed, attacks),
        }

    stored = {"name": config.codec, "bits_per_second": versions["test"].bits_per_second}
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "name": subject.name,
        "anonymizer": {
            "spec": subject.name,
            "kind": "learned" if run else "handcrafted",
            "random": module.random,
            "options": run.filter.model_dump(mode="json") if run else {},
            "parameters": parameter_count(module),
        },
        "data": _about(data),
        **figures(0),
        "codec": None if config.codec is None else {**stored, **figures(1)},
        "cost": _cost(module, data, config) if run else None,
        "training": subject.training,
        **provenance(config.seed, config.device),
        "seconds": time.perf_counter() - start,
        "configuration": {
            "evaluation": config.model_dump(mode="json"),
            "run": run.model_dump(mode="json") if run else None,
            "data": data.config.model_dump(mode="json") if data.config else None,
        },
    }
    # Clips first: where a result is, its own clips are beside it.
    if module.removes_nothing and not _raw_shown(data, config):
        previews_path(out).unlink(missing_ok=True)
    else:
        write_previews(out, _previews(data, versions["test"], config, shown, attacks))
    document = write_result(out, result)
    finished.clear()
    return document


def _raw_shown(data: ClipDataset, config: EvaluationConfig) -> bool:
    return data.synthetic if config.previews is None else config.previews


def _about(data: ClipDataset) -> dict[str, Any]:
    """`data` of the result file."""
    return {
        "name": data.name,
        "hash": data.hash,
        "size": int(data.test.clips.shape[2]),
        "frames": int(data.test.clips.shape[1]),
        "fps": data.fps,
        "counts": _counts(data),
        "target": asdict(data.target),
        "private": asdict(data.private),
        **_boxes(data),
        **({} if data.other is None else {"private_data": _other(data.other)}),
    }


def _counts(data: ClipDataset) -> dict[str, int]:
    return {name: len(data.split(name)) for name in SPLITS}


def _other(data: ClipDataset) -> dict[str, Any]:
    """The data set on which attackers trained and the leak was measured."""
    about = {"name": data.name, "hash": data.hash, "fps": data.fps, "counts": _counts(data)}
    return {**about, **_boxes(data)}


def _boxes(data: ClipDataset) -> dict[str, Any]:
    """How boxes were found, where they are not the data set's own."""
    return {"boxes": [asdict(source) for source in data.found]} if data.found else {}


def _own_target(folder: Path, run: RunConfig, data: ClipDataset) -> torch.nn.Module:
    """The run's f_T; it must have been trained for these classes."""
    contract_path = folder / CONTRACT_FILE
    try:
        about = read_json(contract_path)["about"]
        classes = list(about["target"]["classes"])
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{contract_path} does not say what f_T was trained for") from error
    if classes != list(data.target.classes):
        raise RunError(
            f"{folder} was trained to tell {', '.join(classes)}; this data has "
            f"{', '.join(data.target.classes)}"
        )
    model = create_model(
        without_weights(run.target_model), len(classes), size=run.data.size, frames=run.data.frames
    )
    load_weights(model, folder / TARGET_FILE, "train the run again")
    return model.eval()


def _shown(data: ClipDataset) -> list[int]:
    """A few test clips, spread over the target classes."""
    labels = data.test.target
    if data.target.multi_label:
        return list(range(min(PREVIEWS, len(labels))))
    present = np.unique(labels)
    step = max(1, len(present) // PREVIEWS)
    return [int(np.flatnonzero(labels == c)[0]) for c in present[::step][:PREVIEWS]]


def _previews(
    data: ClipDataset,
    test: Versions,
    config: EvaluationConfig,
    chosen: list[int],
    attacks: list[Attacked],
) -> Previews:
    """The chosen test clips in every form; what shows real people only where it is asked for."""
    names = [
        data.target.name
        if data.target.multi_label
        else data.target.classes[int(data.test.target[i])]
        for i in chosen
    ]
    raw = _raw_shown(data, config)
    views = test.views()
    made = next((attack.shown for attack in attacks if attack.shown is not None), None)
    return Previews(
        after=np.ascontiguousarray(views[0][chosen]),
        captions=tuple(names),
        before=np.ascontiguousarray(data.test.clips[chosen]) if raw else None,
        after_codec=np.ascontiguousarray(views[1][chosen]) if len(views) > 1 else None,
        reconstructed=made,
    )


def _refuse_data(subject: Subject, data: ClipDataset) -> None:
    """Raise `ConfigError` where the data lack what the anonymizer or an attack needs."""
    refuse_clips(subject.module, data)
    if data.other is not None:
        refuse_clips(subject.module, data.other)
    if "retrieve" in subject.attacks and data.private.multi_label:
        raise _for_one_person(data.private.name)


def _cost(module: Anonymizer, data: ClipDataset, config: EvaluationConfig) -> dict[str, Any]:
    """f_D against f_T."""
    frames, size = data.test.clips.shape[1:3]
    clips = to_clips(data.test.clips[:1], config.device)
    target = create_model(
        without_weights(config.target_model),
        len(data.target.classes),
        size=int(size),
        frames=int(frames),
    ).to(config.device)
    return {
        "anonymizer": network_cost(module.to(config.device).eval(), clips),
        "target": network_cost(target.eval(), clips),
    }


def _training(folder: Path) -> dict[str, Any] | None:
    path = folder / TRAINING_FILE
    if not path.is_file():
        return None
    kept = ("preset", "seconds", "steps", "restarts", "stages")
    try:
        training = read_json(path)
        rows = [{k: v for k, v in row.items() if k != "stage"} for row in training["rows"]]
        notes = list(training.get("notes", ()))
        return {**{key: training[key] for key in kept}, "rows": rows, "notes": notes}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged; train the run again") from error
