"""Identification by attackers that trained on modified faces: the parrot attack.

An anonymizer that is never attacked by a model trained on its own output looks safer than it is.
Half of each person's modified images, with names, train an attacker; it then names the person in
the other half. It is the closed world at its worst: everyone is known, and none but they.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int, UInt8

from unseen.config import FitConfig
from unseen.data.clips import LabelSet
from unseen.errors import DataError
from unseen.models import canonical, create_model, parameter_count
from unseen.models.recogniser import Recogniser
from unseen.training.classifier import fit, predict
from unseen.training.metrics import chance, interval, score


@dataclass(frozen=True)
class Parts:
    """Which images an attacker learns from, stops on, and is measured on.

    Attributes:
        train, val, test: positions of images; every person of val and test is in train.
        labels: of all images: a person's number, and -1 for people with too few images.
        people: how many.
    """

    train: Int[np.ndarray, " train"]
    val: Int[np.ndarray, " val"]
    test: Int[np.ndarray, " test"]
    labels: Int[np.ndarray, " images"]
    people: int


def split_by_person(identity: Int[np.ndarray, " images"], seed: int) -> Parts:
    """Half of each person's images to learn from, the others, at least one, to be named.

    Of three and more that are learned from, one serves for validation. People with a single
    image are left out.

    Raises:
        DataError: fewer than two people have two images, or nobody has enough for validation.
    """
    rng = np.random.default_rng([seed, 17])
    train: list[int] = []
    val: list[int] = []
    test: list[int] = []
    labels = np.full(len(identity), -1, np.int64)
    people = 0
    for person in np.unique(identity):
        images = rng.permutation(np.flatnonzero(identity == person)).tolist()
        if len(images) < 2:
            continue
        labels[images] = people
        people += 1
        half = (len(images) + 1) // 2
        held = 1 if half >= 3 else 0
        val += images[:held]
        train += images[held:half]
        test += images[half:]
    if people < 2 or not val:
        raise DataError(
            f"{len(identity)} images of {len(np.unique(identity))} people are too few to learn who "
            "they are: two people need two images, and one of them five"
        )
    return Parts(
        train=np.sort(np.array(train, np.int64)),
        val=np.sort(np.array(val, np.int64)),
        test=np.sort(np.array(test, np.int64)),
        labels=labels,
        people=people,
    )


def identify(
    parts: Parts,
    crops: Sequence[UInt8[np.ndarray, "images 1 side side 3"]],
    features: Sequence[Mapping[str, npt.NDArray[Any]]],
    recognisers: Sequence[Recogniser],
    attackers: Sequence[str],
    config: FitConfig,
    *,
    seed: int,
    device: str = "cpu",
) -> dict[str, Any]:
    """`identification` of the result file: every attacker, the best of them, and chance.

    Args:
        parts: see `split_by_person`.
        crops: modified faces, as clips of one frame, for networks; several draws where the
            anonymizer is random: attackers learn from all of them, and name those of the first.
        features: of the same faces, by recogniser, for each draw.
        recognisers: each becomes an attacker: trained on the modified faces if it can be, it
            names the person whose mean embedding is nearest.
        attackers: networks of the registry of models, trained by `fit`.
        config: of their training.
        seed: of the interval.
        device: where.
    """
    label_set = LabelSet("identity", tuple(str(n) for n in range(parts.people)))
    labels = parts.labels
    rows: list[dict[str, Any]] = []
    scores: list[npt.NDArray[Any]] = []
    for recogniser in recognisers:
        logits = _nearest(recogniser, [draw[recogniser.name] for draw in features], parts)
        scores.append(logits)
        rows.append({"name": recogniser.name, "kind": "nearest mean", "parameters": None,
                     "validation": None, "epochs": None, "stopped": None})  # fmt: skip
    for name in attackers:
        torch.manual_seed(config.seed)
        model = create_model(name, parts.people, size=crops[0].shape[2], frames=1)
        fitted = fit(
            model, [draw[parts.train] for draw in crops], labels[parts.train],
            [draw[parts.val] for draw in crops], labels[parts.val], label_set, config, device,
        )  # fmt: skip
        scores.append(predict(model, crops[0][parts.test], device))
        rows.append({"name": canonical(name), "kind": "network",
                     "parameters": parameter_count(model), "validation": fitted.validation,
                     "epochs": fitted.epochs, "stopped": fitted.stopped})  # fmt: skip
    truth = labels[parts.test]
    for row, logits in zip(rows, scores, strict=True):
        row["accuracy"] = score(logits, truth, label_set)
    low, high = interval(scores, truth, label_set, seed=seed)
    best = max(rows, key=lambda row: float(row["accuracy"]))
    return {
        "people": parts.people,
        "counts": {"train": len(parts.train), "val": len(parts.val), "test": len(parts.test)},
        "attackers": rows,
        "best": best["name"],
        "accuracy": best["accuracy"],
        "interval": [low, high],
        "chance": chance(labels[parts.train], truth, label_set),
    }


def _nearest(
    recogniser: Recogniser, draws: Sequence[npt.NDArray[Any]], parts: Parts
) -> npt.NDArray[np.float32]:
    """How alike each test face is to the mean of each person, `(test, people)`."""
    known = np.concatenate([parts.train, parts.val])  # it needs no validation
    labels = np.tile(parts.labels[known], len(draws))
    features = np.concatenate([draw[known] for draw in draws])
    fitted = recogniser.fit(features, labels)
    learned = fitted.embed(features)
    means = np.stack([learned[labels == n].mean(0) for n in range(parts.people)])
    wanted = fitted.embed(draws[0][parts.test])
    columns = [fitted.similarity(wanted, np.broadcast_to(mean, wanted.shape)) for mean in means]
    return np.stack(columns, axis=1).astype(np.float32)
