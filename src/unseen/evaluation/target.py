"""One filter, many tasks (Wu18 section 5): a further target model f_T on a frozen anonymizer.

The anonymizer stays where the camera is and does not change; what else is to be told from its
output is learned behind it. Every split passes through the anonymizer once, as in the two-fold
evaluation, and f_T never sees raw video.

Files: `X.safetensors` holds the weights, `X.json` beside it what they mean and how good they are.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from unseen.anonymizers.base import Anonymizer
from unseen.anonymizers.learned import CONTRACT_FILE, LearnedFilter, filter_hash
from unseen.anonymizers.load import load_anonymizer
from unseen.config import EvaluationConfig
from unseen.data.clips import ClipDataset
from unseen.errors import ConfigError, Faults, RunError, WeightsError
from unseen.evaluation.cost import network_cost
from unseen.evaluation.evaluate import TRIED_SIZE, load_measurable, refuse_settings
from unseen.evaluation.provenance import provenance
from unseen.evaluation.target_contract import (
    TARGETS_FOLDER,
    AnonymizerNote,
    DataNote,
    FitNote,
    NetworkCost,
    Score,
    Scores,
    TargetContract,
    read_target_contract,
)
from unseen.evaluation.versions import Versions, anonymize_all, refuse_clips
from unseen.files import read_json, refuse_unwritable, write_json
from unseen.machine import device_of, use_cores
from unseen.models import ClipClassifier, canonical, create_model, without_weights
from unseen.progress import progress
from unseen.stored_weights import load_weights, save_weights
from unseen.training.classifier import Fitted, fit, predict
from unseen.training.folder import refuse_seen_clips
from unseen.training.metrics import chance, interval, metric_name, score
from unseen.types import to_clips


@dataclass(frozen=True)
class TargetModel:
    """A further target model f_T.

    Attributes:
        weights: its file.
        contract: the file beside it.
        model: in evaluation mode; maps anonymized clips to logits.
    """

    weights: Path
    contract: TargetContract
    model: ClipClassifier


@dataclass(frozen=True)
class _Plan:
    """An anonymizer that further targets may be trained on, and where one is to be written."""

    module: Anonymizer
    note: AnonymizerNote
    weights: Path


def prepare_target(
    anonymizer: str | Path,
    column: str,
    out: Path | None,
    config: EvaluationConfig,
    size: int = TRIED_SIZE,
) -> _Plan:
    """Refuse, before any work, what would fail after it.

    Args:
        anonymizer, column, out, config: see `train_target`.
        size: side of the frames, in pixels, that weights must fit.

    Raises:
        UnseenError: the anonymizer, a setting or `out` cannot be used, `out` is there already, or
            the column is what the filter was trained to hide.
    """
    folder = Path(anonymizer).resolve()
    faults, module = Faults(), None
    with faults.collected():
        module = load_measurable(anonymizer)
    learned = isinstance(module, LearnedFilter)
    with faults.collected():
        refuse_settings(config)
        if "@" in config.target_model:  # weights that are missing or do not fit
            create_model(canonical(config.target_model), 2, size=size, frames=2)
    with faults.collected():
        if learned and set(column.split(",")) & set(_hidden(folder)):
            raise ConfigError(
                f"'{column}' is what {anonymizer} was trained to hide; how well it can still be "
                "told is what `unseen evaluate` measures"
            )
    with faults.collected():
        if out is None and module is not None and not learned:
            raise ConfigError(f"'{anonymizer}' has no folder to keep f_T in: name a file with -o")
    safe = re.sub(r"[^\w.-]+", "-", column)
    weights = folder / TARGETS_FOLDER / f"{safe}.safetensors" if out is None else out
    if out is not None or learned:
        with faults.collected():
            _refuse_weights_file(weights)
    faults.refuse(f"no target model can be trained behind {anonymizer} so", ConfigError)
    assert module is not None
    note = AnonymizerNote(
        name=folder.name if learned else str(anonymizer),
        hash=filter_hash(module) if isinstance(module, LearnedFilter) else None,
    )
    return _Plan(module, note, weights)


def _refuse_weights_file(weights: Path) -> None:
    if weights.suffix != ".safetensors":
        raise ConfigError(f"f_T is written as safetensors: call it {weights.stem}.safetensors")
    for path in (weights, weights.with_suffix(".json")):
        if path.exists():
            raise RunError(f"{path} is there already: delete it, or name another file with -o")
    refuse_unwritable(weights)


def train_target(
    anonymizer: str | Path,
    data: ClipDataset,
    out: Path | None = None,
    config: EvaluationConfig | None = None,
    *,
    raw: bool = False,
) -> TargetModel:
    """Train a further target model behind a frozen anonymizer, measure it and write it.

    Args:
        anonymizer: a run's folder or a name, see `load_anonymizer`.
        data: clips with the labels of the further task as target; test is read once, at the end.
        out: the file of the weights; None: in the run's folder, `targets/COLUMN.safetensors`.
        config: `target_model`, `target_fit`, `codec`, `draws`, `jobs`, `device` and `seed` count.
        raw: train and measure the same network on raw video too, to compare; after the other one
            was written, which is kept should this fail.

    Raises:
        UnseenError: see `prepare_target`; or the filter works at another size than that of the
            clips. Nothing is written.
    """
    start = time.perf_counter()
    config = config or EvaluationConfig()
    config = config.model_copy(update={"device": device_of(config.device)})
    frames, size = (int(length) for length in data.test.clips.shape[1:3])
    plan = prepare_target(anonymizer, data.target.name, out, config, size)
    refuse_clips(plan.module, data)
    if isinstance(plan.module, LearnedFilter):
        refuse_seen_clips(Path(anonymizer), data)
    use_cores(torch.get_num_threads())
    learned = _learn(plan.module, data, config)
    example = to_clips(learned.versions["test"].draws[0][:1], config.device)
    contract = TargetContract(
        model=learned.model.spec,
        column=data.target.name,
        classes=data.target.classes,
        multi_label=data.target.multi_label,
        size=size,
        frames=frames,
        anonymizer=plan.note,
        data=DataNote(name=data.name, hash=data.hash),
        metric="cmap" if metric_name(data.target) == "cmap" else "accuracy",
        chance=chance(data.train.target, data.test.target, data.target),
        codec=config.codec,
        anonymized=_scores(learned, data, config),
        raw=None,
        cost=NetworkCost(**network_cost(learned.model, example)),
        fit=FitNote(
            validation=learned.fitted.validation,
            epochs=learned.fitted.epochs,
            seconds=learned.fitted.seconds,
            stopped="cap" if learned.fitted.stopped == "cap" else "plateau",
        ),
        configuration=config,
        **provenance(config.seed, config.device),
        seconds=time.perf_counter() - start,
    )
    made = TargetModel(plan.weights, contract, learned.model)
    _write(made)
    if not raw:
        return made
    scores = _scores(_learn(load_anonymizer("raw"), data, config), data, config)
    both = {"raw": scores, "seconds": time.perf_counter() - start}
    made = replace(made, contract=contract.model_copy(update=both))
    _write_contract(made)
    return made


def load_target(weights: str | Path) -> TargetModel:
    """Load a further target model; its input must have passed through its anonymizer.

    Args:
        weights: the `.safetensors` file that `train_target` wrote, its contract beside it.

    Raises:
        WeightsError: missing, damaged, or not fitting each other.
    """
    path = Path(weights)
    contract = read_target_contract(path.with_suffix(".json"))
    model = create_model(
        without_weights(contract.model),
        len(contract.classes),
        size=contract.size,
        frames=contract.frames,
    )
    load_weights(model, path, "train the target again")
    return TargetModel(path, contract, model.eval())


@dataclass(frozen=True)
class _Learned:
    """A trained f_T and the clips it was trained for."""

    model: ClipClassifier
    fitted: Fitted
    versions: Mapping[str, Versions]


def _learn(module: Anonymizer, data: ClipDataset, config: EvaluationConfig) -> _Learned:
    """Anonymize every split once, and train f_T on what comes out."""
    versions = anonymize_all(
        module, data, codec=config.codec, draws=config.draws, seed=config.seed,
        device=config.device, jobs=config.jobs,
    )  # fmt: skip
    frames, size = data.train.clips.shape[1:3]
    torch.manual_seed(config.target_fit.seed)
    model = create_model(config.target_model, len(data.target.classes), size=size, frames=frames)
    with progress(config.target_fit.cap, f"f_T for {data.target.name}", "epoch") as bar:

        def show(validation: float) -> None:
            bar.set_postfix_str(f"validation {100 * validation:.1f}%", refresh=False)
            bar.update(1)

        fitted = fit(
            model, versions["train"].all(), data.train.target, versions["val"].views(),
            data.val.target, data.target, config.target_fit, config.device, show,
        )  # fmt: skip
    return _Learned(model, fitted, versions)


def _scores(learned: _Learned, data: ClipDataset, config: EvaluationConfig) -> Scores:
    """The only look at the test clips."""
    scores = []
    for view in learned.versions["test"].views():
        logits = predict(learned.model, view, config.device)
        test = data.test
        low, high = interval([logits], test.target, data.target, test.videos, seed=config.seed)
        value = score(logits, data.test.target, data.target)
        scores.append(Score(score=value, interval=(low, high)))
    return Scores(pixels=scores[0], stored=scores[1] if len(scores) > 1 else None)


def _write(made: TargetModel) -> None:
    """The weights first: where the contract is, all is there."""
    save_weights(made.model, made.weights)
    _write_contract(made)


def _write_contract(made: TargetModel) -> None:
    write_json(made.weights.with_suffix(".json"), made.contract.model_dump(mode="json"))


def _hidden(folder: Path) -> list[str]:
    """The label columns that a filter was trained to hide."""
    path = folder / CONTRACT_FILE
    contract: dict[str, Any] = read_json(path)
    try:
        return str(contract["about"]["private"]["column"]).split(",")
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path} does not say what the filter was trained to hide") from error
