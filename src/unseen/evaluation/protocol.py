"""The two-fold evaluation (Wu18 3.4, Wang19 3.5).

The anonymizer is frozen and every split passes through it once; nothing after that touches raw
video. Fold 1: is the target task still learnable from what comes out? Fold 2: N attackers, none
of them a budget model, are trained on what comes out of the training split, chosen on
validation clips, and read the test clips once. The best of them is the privacy leak A_B^N.

Differs from the papers: what leaves the camera is also encoded as it would be stored, read back,
and measured beside the pixels before; attackers and the fresh f_T train on both versions at once
and are measured on each. A random anonymizer is drawn several times for training, as one fixed
draw would flatter it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from joblib import Parallel, delayed

from unseen.config import FitConfig
from unseen.data.clips import SPLITS, ClipDataset, LabelSet
from unseen.errors import ConfigError
from unseen.evaluation.versions import Versions
from unseen.machine import use_cores
from unseen.models import SUITES, canonical, create_model, parameter_count
from unseen.progress import progress
from unseen.registry import Spec
from unseen.training.classifier import Fitted, fit, predict
from unseen.training.metrics import best_of_k, chance, interval, metric_name, score

Array = npt.NDArray[Any]

# Networks of the suites that timm has under names of its own.
_TIMM_NAMES = {
    "inception_v3": "inception-v2",
    "resnet50": "resnet-v1-50",
    "resnet101": "resnet-v1-101",
    "resnetv2_50": "resnet-v2-50",
    "resnetv2_101": "resnet-v2-101",
}


@dataclass(frozen=True)
class Measured:
    """One classifier, trained on anonymized clips and measured once on the test split.

    Attributes:
        name: its specification.
        family: the kind of network.
        parameters: how many.
        fitted: how its training went.
        logits: on the test clips, one array for each view.
    """

    name: str
    family: str
    parameters: int
    fitted: Fitted
    logits: tuple[Array, ...]


def choose_attackers(
    wanted: str, budget_models: Sequence[str] = (), suite: str = "small"
) -> list[str]:
    """Attackers by number or by name, none of them a budget model.

    Args:
        wanted: a number (the first of the suite that are no budget models), or names joined by
            commas.
        budget_models: the ensemble of the training; its architectures, widths included, are
            refused by name and passed over by number.
        suite: `small` (CPU) or `paper` (Wu18 4.1).

    Raises:
        ConfigError: a named attacker was a budget model, or the suite is too small.
    """
    if suite not in SUITES:
        raise ConfigError(f"unknown suite '{suite}'; choose from: {', '.join(SUITES)}")
    taken = {_architecture(name) for name in budget_models}
    if wanted.isdigit():
        names = [name for name in SUITES[suite] if _architecture(name) not in taken]
        if not 1 <= int(wanted) <= len(names):
            raise ConfigError(
                f"--attackers {wanted}: the suite '{suite}' has {len(names)} attackers that are no "
                "budget models of this run; name others with --attackers NAME,NAME"
            )
        return names[: int(wanted)]
    names = [canonical(name) for name in wanted.split(",") if name.strip()]
    overlap = [name for name in names if _architecture(name) in taken]
    if overlap:
        raise ConfigError(
            f"{', '.join(overlap)} trained against this filter as budget model; an attacker must "
            "not have: choose others"
        )
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"--attackers '{wanted}': name each attacker once")
    return names


def _architecture(name: str) -> tuple[str, str | None]:
    """Family and width: what makes two models the same adversary whatever they are called."""
    spec = Spec.parse(canonical(name))
    if spec.name == "timm" and spec.option is not None:
        # Behind a dot stands which weights, behind an at sign whether any.
        network = spec.option.partition("@")[0].partition(".")[0]
        if network.startswith("mobilenetv1_"):
            return "mobilenet", f"{int(network[12:15]) / 100:g}"
        return (_TIMM_NAMES[network], None) if network in _TIMM_NAMES else ("timm", network)
    return spec.name.removesuffix("-gn"), spec.option


@dataclass(frozen=True)
class _Task:
    """One classifier to train: everything a worker process needs."""

    model: str
    role: str
    labels: Mapping[str, Array]
    label_set: LabelSet
    size: int
    frames: int
    fit: FitConfig


def _train_one(
    task: _Task, folder: Path, counts: Mapping[str, int], threads: int, device: str
) -> Measured:
    """Train on the memory-mapped versions in `folder` (run in a worker process)."""
    use_cores(threads)
    versions = {
        name: [np.load(folder / f"{name}-{k}.npy", mmap_mode="c") for k in range(counts[name])]
        for name in ("train", "val", "test")
    }
    torch.manual_seed(task.fit.seed)
    model = create_model(
        task.model, len(task.label_set.classes), size=task.size, frames=task.frames
    )
    fitted = fit(
        model, versions["train"], task.labels["train"], versions["val"], task.labels["val"],
        task.label_set, task.fit, device,
    )  # fmt: skip
    logits = tuple(predict(model, view, device) for view in versions["test"])
    return Measured(model.spec, model.family, parameter_count(model), fitted, logits)


def train_on_versions(
    data: ClipDataset,
    versions: Mapping[str, Versions],
    target_model: str,
    attackers: Sequence[str],
    *,
    target_fit: FitConfig,
    attacker_fit: FitConfig,
    jobs: int,
    device: str = "cpu",
    private_versions: Mapping[str, Versions] | None = None,
) -> tuple[Measured, list[Measured]]:
    """Train a fresh f_T and all attackers on the same anonymized clips, `jobs` at a time.

    Args:
        private_versions: of `data.private_data`, where that is another data set: what attackers
            train on.

    Returns:
        The target model, and the attackers in the order given.
    """
    frames, size = data.train.clips.shape[1:3]
    private = data.private_data
    tasks = [
        _Task(target_model, "target", {n: data.split(n).target for n in SPLITS}, data.target,
              size, frames, target_fit),
        *(
            _Task(name, "attacker", {n: private.split(n).private for n in SPLITS}, data.private,
                  size, frames, attacker_fit)
            for name in attackers
        ),
    ]  # fmt: skip
    threads = max(1, torch.get_num_threads() // jobs)
    with tempfile.TemporaryDirectory(prefix="unseen-") as temporary:
        kept = {"target": _keep(versions, Path(temporary) / "target")}
        kept["attacker"] = (
            kept["target"]
            if private_versions is None
            else _keep(private_versions, Path(temporary) / "attacker")
        )
        run = Parallel(n_jobs=jobs, return_as="generator")
        results: list[Measured] = []
        with progress(len(tasks), "attackers", "model") as bar:
            for measured in run(
                delayed(_train_one)(task, *kept[task.role], threads, device) for task in tasks
            ):
                results.append(measured)
                bar.update(1)
    return results[0], results[1:]


def _keep(versions: Mapping[str, Versions], folder: Path) -> tuple[Path, dict[str, int]]:
    """Write what is trained on and measured; the folder, and how many versions of each split."""
    folder.mkdir()
    counts: dict[str, int] = {}
    for name in SPLITS:
        kept = versions[name].all() if name == "train" else versions[name].views()
        counts[name] = len(kept)
        for k, clips in enumerate(kept):
            np.save(folder / f"{name}-{k}.npy", clips)
    return folder, counts


def privacy_section(
    data: ClipDataset, attackers: Sequence[Measured], view: int, seed: int
) -> dict[str, Any]:
    """`privacy` of the result file, for one view."""
    data = data.private_data
    labels, label_set = data.test.private, data.private
    logits = [a.logits[view] for a in attackers]
    scores = [score(one, labels, label_set) for one in logits]
    low, high = interval(logits, labels, label_set, seed=seed)
    rows = [
        {
            "name": a.name,
            "family": a.family,
            "accuracy": value,
            "parameters": a.parameters,
            **a.fitted.as_json(),
        }
        for a, value in zip(attackers, scores, strict=True)
    ]
    return {
        "metric": metric_name(label_set),
        "leak": max(scores),
        "chance": chance(data.train.private, labels, label_set),
        "interval": [low, high],
        "mean": float(np.mean(scores)),
        "best": attackers[int(np.argmax(scores))].name,
        "attackers": rows,
        "leak_by_n": best_of_k(scores),
    }


def target_section(
    data: ClipDataset, fresh: Measured, own: Array | None, view: int, seed: int
) -> dict[str, Any]:
    """`target` of the result file, for one view; `own` are logits of the run's f_T."""
    labels, label_set = data.test.target, data.target
    low, high = interval([fresh.logits[view]], labels, label_set, seed=seed)
    fitted = fresh.fitted
    return {
        "model": fresh.name,
        "metric": metric_name(label_set),
        "accuracy": None if own is None else score(own, labels, label_set),
        "retrained_accuracy": score(fresh.logits[view], labels, label_set),
        "chance": chance(data.train.target, labels, label_set),
        "interval": [low, high],
        "curve": list(fitted.curve),
        "epochs": fitted.epochs,
        "stopped": fitted.stopped,
    }
