"""The two-fold evaluation (Wu18 3.4, Wang19 3.5).

The anonymizer is frozen and every split passes through it once; nothing after that touches raw
video, but for attacks that have it (`unseen.evaluation.attacks`). Fold 1: is the target task still
learnable from what comes out? Fold 2: N attackers, none of them a budget model, are trained on what
comes out of the training split, chosen on validation clips, and read the test clips once. The best
of them is the privacy leak A_B^N.

Differs from the papers: what leaves the camera is also encoded as it would be stored, read back,
and measured beside the pixels before; attackers and the fresh f_T train on both versions at once
and are measured on each. A random anonymizer is drawn several times for training, as one fixed
draw would flatter it.
"""

import hashlib
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from unseen.config import FitConfig
from unseen.data.clips import SPLITS, ClipDataset, LabelSet
from unseen.errors import RunError
from unseen.evaluation.attacks import Array, Attacked, AttackJob
from unseen.evaluation.curriculum import follow_curriculum
from unseen.evaluation.finished import Arrays, Finished
from unseen.evaluation.reconstruction import reconstruct
from unseen.evaluation.retrieval import retrieve
from unseen.evaluation.versions import KeptClips, Versions
from unseen.machine import use_cores
from unseen.models import create_model, macs, parameter_count
from unseen.progress import progress
from unseen.training.classifier import Fitted, blind_loss, fit, predict
from unseen.training.metrics import best_of_k, chance, interval, metric_name, score

ATTACKS: Mapping[str, Callable[[AttackJob], Attacked]] = MappingProxyType(
    {"reconstruct": reconstruct, "retrieve": retrieve, "curriculum": follow_curriculum}
)


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

    @property
    def depends_on(self) -> dict[str, Any]:
        """What its outcome depends on beside clips and labels."""
        return {"role": self.role, **_depends_on(self.model, self.fit)}


def _depends_on(model: str, fit: FitConfig) -> dict[str, Any]:
    _, _, file = model.partition("@")
    named = file not in ("", "pretrained")
    weights = hashlib.sha256(Path(file).read_bytes()).hexdigest() if named else None
    return {"model": model, "weights": weights, "fit": fit.model_dump(mode="json")}


def _packed(measured: Measured) -> tuple[Any, Arrays]:
    about = asdict(measured) | {"fitted": measured.fitted.as_json(), "logits": None}
    return about, {f"logits{k}": each for k, each in enumerate(measured.logits)}


def _unpacked(about: Any, arrays: Arrays) -> Measured:
    fitted = Fitted(**about["fitted"] | {"curve": tuple(about["fitted"]["curve"])})
    return Measured(**about | {"fitted": fitted, "logits": _logits(arrays)})


def _packed_attack(attacked: Attacked) -> tuple[Any, Arrays]:
    arrays: Arrays = {f"logits{k}": each for k, each in enumerate(attacked.logits)}
    if attacked.shown is not None:
        arrays["shown"] = attacked.shown
    return {"name": attacked.name, "figures": attacked.figures}, arrays


def _unpacked_attack(about: Any, arrays: Arrays) -> Attacked:
    return Attacked(about["name"], _logits(arrays), tuple(about["figures"]), arrays.get("shown"))


def _logits(arrays: Arrays) -> tuple[Array, ...]:
    return tuple(arrays[f"logits{k}"] for k in range(sum(key != "shown" for key in arrays)))


def _work(task: _Task) -> float:
    """Multiply-accumulates for one clip of a training step; the most where they cannot be told."""
    if "@" in task.model:  # its weights would have to be read
        return math.inf
    with torch.device("meta"):
        model = create_model(
            task.model, len(task.label_set.classes), size=task.size, frames=task.frames
        )
        some = {"frames": task.fit.frames, "differences": task.fit.frames and task.fit.frames + 1}
        seen = some.get(model.sees, 0) or task.frames
        try:
            return macs(model, torch.empty(1, 3, seen, task.size, task.size))
        except RuntimeError:  # not every operation can be tried without data
            return math.inf


def _train_one(
    at: int, task: _Task, clips: KeptClips, threads: int, device: str
) -> tuple[int, Measured]:
    """Train task number `at` (run in a worker process)."""
    use_cores(threads)
    torch.manual_seed(task.fit.seed)
    model = create_model(
        task.model, len(task.label_set.classes), size=task.size, frames=task.frames
    )
    try:
        fitted = fit(
            model, clips.versions("train"), task.labels["train"], clips.versions("val"),
            task.labels["val"], task.label_set, task.fit, device,
        )  # fmt: skip
    except RunError as error:
        raise RunError(f"'{task.model}': {error}; what is done is kept") from error
    logits = tuple(predict(model, view, device) for view in clips.versions("test"))
    return at, Measured(model.spec, model.family, parameter_count(model), fitted, logits)


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
    finished: Finished | None = None,
) -> tuple[Measured, list[Measured]]:
    """Train a fresh f_T and all attackers on the same anonymized clips, `jobs` at a time.

    Args:
        data: what the labels are of; of two data sets, attackers' are of `data.private_data`.
        versions: of `data`.
        target_model: the architecture of the fresh f_T.
        attackers: those of the attackers.
        target_fit: training of the fresh f_T.
        attacker_fit: training of each attacker.
        jobs: how many at a time.
        device: where.
        private_versions: of `data.private_data`, where that is another data set.
        finished: models that were trained before, and where to keep those that are trained now.

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
    with tempfile.TemporaryDirectory(prefix="unseen-") as folder:
        kept = {"target": KeptClips.keep(Path(folder) / "target", versions)}
        kept["attacker"] = (
            kept["target"]
            if private_versions is None
            else KeptClips.keep(Path(folder) / "attacker", private_versions)
        )
        results = _side_by_side(
            "attackers", jobs,
            {
                at: delayed(_train_one)(at, task, kept[task.role], _threads(jobs), device)
                # The longest first: the processes then end at about the same time.
                for at, task in sorted(enumerate(tasks), key=lambda pair: -_work(pair[1]))
            },
            lambda measured: f"{measured.name} {100 * measured.fitted.validation:.1f}%",
            _Kept(finished, [task.depends_on for task in tasks], _unpacked, _packed),
        )  # fmt: skip
    return results[0], results[1:]


def run_attacks(
    data: ClipDataset,
    versions: Mapping[str, Versions],
    models: Mapping[str, str],
    *,
    fit: FitConfig,
    jobs: int,
    device: str = "cpu",
    shown: Sequence[int] = (),
    finished: Finished | None = None,
) -> list[Attacked]:
    """Attack in other ways than by classifying; see `unseen.evaluation.attacks`.

    Args:
        data: before the anonymizer: these attackers have raw video of the training split.
        versions: behind it.
        models: for each attack by name, the network that it trains or is judged by.
        fit: how networks are trained.
        jobs: attacks side by side.
        device: where.
        shown: test clips of which a picture is kept, see `Attacked.shown`.
        finished: as in `train_on_versions`; pictures are kept there as well.
    """
    if not models:
        return []
    labels: dict[str, Array] = {name: data.split(name).private for name in SPLITS}
    with tempfile.TemporaryDirectory(prefix="unseen-") as folder:
        clips = KeptClips.keep(Path(folder) / "clips", versions, data)
        work = {
            at: delayed(_attack)(
                at, name,
                AttackJob(clips, labels, data.private, model, fit, tuple(shown), device),
                _threads(jobs),
            )
            for at, (name, model) in enumerate(models.items())
        }  # fmt: skip
        depends_on = [
            {"attack": name, "shown": list(shown), **_depends_on(model, fit)}
            for name, model in models.items()
        ]
        return _side_by_side(
            "attacks", jobs, work, lambda attacked: str(attacked.name),
            _Kept(finished, depends_on, _unpacked_attack, _packed_attack),
        )  # fmt: skip


def _attack(at: int, name: str, job: AttackJob, threads: int) -> tuple[int, Attacked]:
    use_cores(threads)
    try:
        return at, ATTACKS[name](job)
    except RunError as error:
        raise RunError(f"'{name}': {error}; what is done is kept") from error


def _threads(jobs: int) -> int:
    return max(1, torch.get_num_threads() // jobs)


@dataclass(frozen=True)
class _Kept:
    """How results of `_side_by_side` are kept and found again, by position."""

    finished: Finished | None
    depends_on: Sequence[dict[str, Any]]
    unpacked: Callable[[Any, Arrays], Any]
    packed: Callable[[Any], tuple[Any, Arrays]]

    def before(self) -> dict[int, Any]:
        if self.finished is None:
            return {}
        found = {at: self.finished.read(each) for at, each in enumerate(self.depends_on)}
        return {at: self.unpacked(*kept) for at, kept in found.items() if kept is not None}

    def add(self, at: int, result: Any) -> None:
        if self.finished is not None:
            self.finished.write(self.depends_on[at], *self.packed(result))


def _side_by_side(
    what: str, jobs: int, work: Mapping[int, Any], about: Callable[[Any], str], kept: _Kept
) -> list[Any]:
    """Do what gives (position, result), `jobs` at a time; results by position.

    On a terminal, each is named as soon as it is done.
    """
    run = Parallel(n_jobs=jobs, return_as="generator_unordered", mmap_mode="c")
    done = kept.before()
    with progress(len(work), what, "model") as bar:
        bar.update(len(done))
        for at, result in run([call for at, call in work.items() if at not in done]):
            kept.add(at, result)
            done[at] = result
            bar.update(1)
            bar.set_postfix_str(about(result))
    return [done[at] for at in range(len(work))]


def privacy_section(
    data: ClipDataset,
    attackers: Sequence[Measured],
    view: int,
    seed: int,
    attacks: Sequence[Attacked] = (),
) -> dict[str, Any]:
    """`privacy` of the result file, for one view.

    The leak is the best test score of all attackers and attacks; the mean and A_B^k are of the
    attackers alone.
    """
    data = data.private_data
    labels, label_set = data.test.private, data.private
    everyone: list[Measured | Attacked] = [*attackers, *attacks]
    logits = [each.logits[view] for each in everyone]
    scores = [score(one, labels, label_set) for one in logits]
    low, high = interval(logits, labels, label_set, data.test.videos, seed=seed)
    count = len(attackers)
    rows = [
        {
            "name": a.name,
            "family": a.family,
            "accuracy": value,
            "parameters": a.parameters,
            **a.fitted.as_json(),
        }
        for a, value in zip(attackers, scores, strict=False)
    ]
    section: dict[str, Any] = {
        "metric": metric_name(label_set),
        "leak": max(scores),
        "chance": chance(data.train.private, labels, label_set),
        "interval": [low, high],
        "mean": float(np.mean(scores[:count])),
        "best": everyone[int(np.argmax(scores))].name,
        "attackers": rows,
        "leak_by_n": best_of_k(scores[:count]),
        "blind_loss": blind_loss(data.train.private, label_set),
    }
    if attacks:
        section["attacks"] = {
            attack.name: {
                "accuracy": value,
                "interval": list(
                    interval([attack.logits[view]], labels, label_set, data.test.videos, seed=seed)
                ),
                **attack.figures[view],
            }
            for attack, value in zip(attacks, scores[count:], strict=True)
        }
    return section


def target_section(
    data: ClipDataset, fresh: Measured, own: Array | None, view: int, seed: int
) -> dict[str, Any]:
    """`target` of the result file, for one view; `own` are logits of the run's f_T."""
    labels, label_set = data.test.target, data.target
    low, high = interval([fresh.logits[view]], labels, label_set, data.test.videos, seed=seed)
    fitted = fresh.fitted
    return {
        "model": fresh.name,
        "metric": metric_name(label_set),
        "accuracy": None if own is None else score(own, labels, label_set),
        "own_interval": None
        if own is None
        else list(interval([own], labels, label_set, data.test.videos, seed=seed)),
        "retrained_accuracy": score(fresh.logits[view], labels, label_set),
        "chance": chance(data.train.target, labels, label_set),
        "interval": [low, high],
        "curve": list(fitted.curve),
        "epochs": fitted.epochs,
        "stopped": fitted.stopped,
    }
