"""From an anonymizer and face images to a result file: who is still recognised?

Three questions, of people whom the recognisers did not train on: are two modified faces, or a
modified and a raw one, of one person (verification, LFW's protocol)? The same after a recogniser
was trained on modified faces of other people? Who of many known people is it (the parrot attack)?
Raw faces, and faces that were merely resized as the anonymizer resizes them, stand beside.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool
from pydantic import BaseModel, ConfigDict, Field

from unseen.anonymizers.base import Anonymizer
from unseen.anonymizers.handcrafted import FACE_ENLARGEMENT, Raw
from unseen.anonymizers.load import load_anonymizer, refuse_device
from unseen.anonymizers.modifier import FaceModifier
from unseen.config import FitConfig
from unseen.data.face_images import (
    FaceImages,
    Pairs,
    crop,
    draw_pairs,
    enlarged_box,
    with_folds,
)
from unseen.data.seen import digest_of
from unseen.errors import ConfigError, DataError, together
from unseen.evaluation.face_results import write_face_result
from unseen.evaluation.identification import identify, split_by_person
from unseen.evaluation.modified_faces import batches, resized_only
from unseen.evaluation.provenance import provenance
from unseen.evaluation.results import FACES
from unseen.evaluation.verification import verify
from unseen.faces.region import too_small
from unseen.files import refuse_unwritable
from unseen.models import canonical, parameter_count
from unseen.models.recogniser import Recogniser
from unseen.models.recognisers import load_recogniser
from unseen.progress import progress


class FaceEvaluation(BaseModel):
    """How an anonymizer of faces is measured.

    Attributes:
        recognisers: names in `unseen.models.recognisers`.
        folds: that are measured; empty: all of whose people the anonymizer and the recognisers have
            learned nobody, and learn nobody.
        train_folds: whose people trainable recognisers learn.
        pairs: `official`: the published ones, all of them; `drawn`: by the seed from the images
            that are there, the way LFW's were.
        pairs_per_fold: of one person, and as many of two, where they are drawn.
        draw_folds: folds that people are drawn into where none are published.
        enlargement: of face boxes before they are modified (Ren18 5.2).
        resolution: side in pixels that "merely resized" means; None: the anonymizer's own.
        adapt: whether recognisers are also trained on modified faces of the training folds.
        draws: of a random anonymizer, for all that learn from modified faces.
        attackers: networks that learn who modified faces are, beside the recognisers.
        attacker_size: side of their images in pixels.
        attacker_fit: their training.
        device: where.
        seed: of pairs, parts and noise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recognisers: tuple[str, ...] = ("fisher",)
    folds: tuple[int, ...] = ()
    train_folds: tuple[int, ...] = ()
    pairs: Literal["official", "drawn"] = "official"
    pairs_per_fold: int = Field(300, ge=1)
    draw_folds: int = Field(4, ge=2)
    enlargement: float = Field(FACE_ENLARGEMENT, ge=1.0)
    resolution: int | None = Field(None, ge=1)
    adapt: bool = True
    draws: int = Field(2, ge=1)
    attackers: tuple[str, ...] = ("cnn",)
    attacker_size: int = Field(64, ge=16)
    attacker_fit: FitConfig = FitConfig(epoch_clips=832)
    device: str = "cpu"
    seed: int = 0


@dataclass(frozen=True)
class _Seen:
    """What was read from some images, row by row: features by recogniser, and crops.

    `blackened` counts faces with too few pixels for the anonymizer, which were painted black.
    """

    features: dict[str, npt.NDArray[Any]]
    crops: npt.NDArray[np.uint8]
    blackened: int


@dataclass(frozen=True)
class _Plan:
    """What is measured on what, checked before any work.

    `left_out` counts people whom the anonymizer or a recogniser knows; `unchecked` names those that
    do not tell whom they know.
    """

    faces: FaceImages
    recognisers: tuple[Recogniser, ...]
    folds: tuple[int, ...]
    test: npt.NDArray[np.int64]
    train: npt.NDArray[np.int64]
    pairs: Pairs
    left_out: int
    unchecked: tuple[str, ...]


def prepare_faces(
    anonymizer: str | Path | Anonymizer, out: Path, config: FaceEvaluation
) -> Anonymizer:
    """The anonymizer; or every reason why nothing could be measured that needs no faces to tell."""

    def loaded() -> Anonymizer:
        return anonymizer if isinstance(anonymizer, Anonymizer) else load_anonymizer(anonymizer)

    checks: list[Callable[[], Any]] = [
        loaded,
        partial(refuse_device, config.device),
        partial(refuse_unwritable, out),
        *(partial(load_recogniser, name) for name in config.recognisers),
        *(partial(canonical, name) for name in config.attackers),
    ]
    made: Anonymizer = together(ConfigError, "faces cannot be measured so", checks)[0]
    return made


def evaluate_faces(
    anonymizer: str | Path | Anonymizer,
    faces: FaceImages,
    out: Path,
    config: FaceEvaluation | None = None,
) -> dict[str, Any]:
    """Measure how well faces behind an anonymizer are recognised; write the result file.

    Args:
        anonymizer: a run's folder, a name, or the thing itself.
        faces: people and their images.
        out: the result file (`faces.schema.json`).
        config: see `FaceEvaluation`.

    Returns:
        The result, as in the file.

    Raises:
        UnseenError: the anonymizer, a setting, the data or `out` cannot be used.
    """
    start = time.perf_counter()
    config = config or FaceEvaluation()
    module = prepare_faces(anonymizer, out, config)
    name = Path(module.name if isinstance(anonymizer, Anonymizer) else str(anonymizer)).name
    plan = _plan(faces, config, module, name)
    parts = split_by_person(plan.faces.identity[plan.test], config.seed)
    made_at = module.config.size if isinstance(module, FaceModifier) else module.working_size
    side = config.resolution or made_at
    raw = _read(plan, plan.test, None, config, "raw faces")
    draws = range(config.draws if module.random else 1)
    modified = [_read(plan, plan.test, module, config, "modified faces", draw) for draw in draws]
    resized = None
    if side is not None and not isinstance(module, Raw):
        resized = _read(plan, plan.test, resized_only(side), config, "resized faces")
    learned = _read(plan, plan.train, None, config, "faces to learn from")
    adapted: list[_Seen] = []
    if config.adapt and any(recogniser.trainable for recogniser in plan.recognisers):
        what = "modified faces to learn from"
        adapted = [_read(plan, plan.train, module, config, what, draw) for draw in draws]
    result: dict[str, Any] = {
        "schema": FACES,
        "name": name,
        "anonymizer": {
            "spec": name,
            "random": module.random,
            "parameters": parameter_count(module),
            "working_size": made_at,
        },
        "data": {
            "name": faces.name,
            "hash": faces.hash(),
            "people": len(np.unique(plan.faces.identity[plan.test])),
            "images": len(plan.test),
            "blackened": modified[0].blackened,
            "left_out": plan.left_out,
            "unchecked": list(plan.unchecked),
            "folds": list(plan.folds),
            "train_folds": list(config.train_folds),
            "train_images": len(plan.train),
            "pairs": config.pairs,
        },
        "resolution": side,
        "recognisers": [
            _verified(plan, recogniser, raw, resized, modified[0], learned, adapted)
            for recogniser in plan.recognisers
        ],
        "identification": identify(
            parts, [seen.crops for seen in modified], [seen.features for seen in modified],
            plan.recognisers, config.attackers, config.attacker_fit,
            seed=config.seed, device=config.device,
        ),
        **provenance(config.seed, config.device),
        "seconds": time.perf_counter() - start,
        "configuration": config.model_dump(mode="json"),
    }  # fmt: skip
    result = json.loads(json.dumps(result))  # tuples as lists, as the file has them
    write_face_result(out, result)
    return result


def _plan(faces: FaceImages, config: FaceEvaluation, module: Anonymizer, title: str) -> _Plan:
    """Choose folds, images and pairs, and refuse what would fail after long work."""
    if not config.recognisers:
        raise ConfigError("name at least one recogniser")
    recognisers = tuple(load_recogniser(name, config.device) for name in config.recognisers)
    models: dict[str, Anonymizer | Recogniser] = {title: module}
    models |= {recogniser.name: recogniser for recogniser in recognisers}
    drawn = not faces.folds
    faces = with_folds(faces, config.draw_folds, config.seed)
    learned = {name: model.learned_people() for name, model in models.items()}
    known = {name: _known(faces, model, learned[name]) for name, model in models.items()}
    left_out = 0
    if drawn:  # folds mean nothing: only those people are left out whom a model has learned
        images = np.any(list(known.values()), axis=0)
        left_out = len(np.unique(faces.identity[images]))
        faces = replace(faces, fold=np.where(images, 0, faces.fold))
    folds_of = {
        name: {*np.unique(faces.fold[images]).tolist()} - {0} for name, images in known.items()
    }
    taken = {*config.train_folds}.union(*folds_of.values())
    folds = config.folds or tuple(fold for fold in faces.folds if fold not in taken)
    _refuse_known(faces, folds, folds_of, config.train_folds)
    train = faces.of_folds(config.train_folds) if config.train_folds else np.zeros(0, np.int64)
    needy = [recogniser.name for recogniser in recognisers if recogniser.trainable]
    if needy and not len(train):
        raise ConfigError(
            f"{', '.join(needy)} must be trained: name folds whose people it learns "
            "(--train-folds 1-6)"
        )
    test = faces.of_folds(folds)
    pairs = _pairs(faces, folds, config)
    unchecked = tuple(name for name, people in learned.items() if people is None)
    return _Plan(faces, recognisers, tuple(folds), test, train, pairs, left_out, unchecked)


def _known(
    faces: FaceImages, model: Anonymizer | Recogniser, learned: frozenset[str] | None
) -> Bool[np.ndarray, " images"]:
    """Which images show people whom a model has learned, as far as that is told."""
    if learned is not None:
        each = [digest_of(person) in learned for person in faces.people]
        images: npt.NDArray[np.bool_] = np.array(each, np.bool_)[faces.identity]
        return images
    # Older files of recognisers hold the folds of LFW alone.
    folds = model.folds if isinstance(model, Recogniser) and faces.name == "lfw" else ()
    return np.isin(faces.fold, folds)


def _refuse_known(
    faces: FaceImages,
    folds: Sequence[int],
    known: Mapping[str, set[int]],
    train_folds: Sequence[int],
) -> None:
    """Raise `ConfigError` where people would be measured whom a model knows, or nobody would be.

    Args:
        faces: in folds.
        folds: to be measured.
        known: the folds of which each model has learned people.
        train_folds: whose people recognisers are to learn.
    """
    faults = []
    both = sorted({*folds} & {*train_folds})
    if both:
        faults.append(
            f"folds {_listed(both)} are to be trained on and measured: a recogniser must not know "
            "the people it is measured on"
        )
    free = [fold for fold in faces.folds if fold not in {*train_folds}.union(*known.values())]
    how = f"name others (--folds {_listed(free)})" if free else "measure other people"
    for name, learned in known.items():
        shared = sorted({*folds} & learned)
        if shared:
            faults.append(
                f"'{name}' was trained on people of folds {_listed(shared)}, which are to be "
                f"measured: {how}"
            )
    if not folds:
        who = "".join(f", '{name}' knows people of {_listed(f)}" for name, f in known.items() if f)
        faults.append(
            f"no folds of {faces.name} are left to be measured: folds {_listed(train_folds)} are "
            f"trained on{who}; train on fewer (--train-folds), or measure other people"
        )
    if len(faults) == 1:
        raise ConfigError(faults[0])
    if faults:
        raise ConfigError("nothing is measured, for several reasons:", faults)


def _listed(folds: Iterable[int]) -> str:
    return ",".join(map(str, sorted(folds))) or "none"


def _pairs(faces: FaceImages, folds: Sequence[int], config: FaceEvaluation) -> Pairs:
    if config.pairs == "drawn":
        return draw_pairs(faces, folds, config.pairs_per_fold, config.seed)
    if faces.pairs is None:
        raise DataError(f"{faces.name} has no published pairs: draw them (--pairs drawn)")
    pairs = faces.pairs.of_folds(folds)
    listed = faces.listed_pairs * len(folds)
    if len(pairs) < listed:
        raise DataError(
            f"{listed - len(pairs)} of the {listed} published pairs of folds "
            f"{', '.join(map(str, folds))} name images that are not there: complete the data, or "
            "draw pairs from what there is (--pairs drawn)"
        )
    return pairs


def _read(
    plan: _Plan,
    chosen: npt.NDArray[np.int64],
    anonymizer: Anonymizer | None,
    config: FaceEvaluation,
    what: str,
    draw: int = 0,
) -> _Seen:
    """Pass images once through an anonymizer, and take all that is needed of them."""
    # Faces of the training folds are read by those who learn from them alone.
    readers = [r for r in plan.recognisers if r.trainable or chosen is not plan.train]
    features: dict[str, list[npt.NDArray[Any]]] = {r.name: [] for r in readers}
    crops: list[npt.NDArray[np.uint8]] = []
    least, blackened = (1 if anonymizer is None else anonymizer.least_side), 0
    with progress(len(chosen), what, "face") as bar:
        for batch in batches(
            plan.faces, chosen.tolist(), anonymizer,
            enlargement=config.enlargement, seed=config.seed, device=config.device,
            part=int(chosen is plan.train), draw=draw,
        ):  # fmt: skip
            for recogniser in readers:
                features[recogniser.name].append(recogniser.features(batch))
            crops += [crop(face, 1.0, config.attacker_size)[None] for face in batch]
            regions = [(enlarged_box(face, config.enlargement), face.image) for face in batch]
            blackened += sum(too_small(box, image, least) for box, image in regions)
            bar.update(len(batch))
    return _Seen(
        {name: np.concatenate(found) for name, found in features.items() if found},
        np.stack(crops) if crops else np.zeros((0, 1, 1, 1, 3), np.uint8),
        blackened,
    )


def _verified(
    plan: _Plan,
    recogniser: Recogniser,
    raw: _Seen,
    resized: _Seen | None,
    modified: _Seen,
    learned: _Seen,
    adapted: Sequence[_Seen],
) -> dict[str, Any]:
    """One row of `recognisers`: verification of each kind of faces."""
    name, identity = recogniser.name, plan.faces.identity[plan.train]
    at = np.full(len(plan.faces), -1, np.int64)
    at[plan.test] = np.arange(len(plan.test))
    first, second = at[plan.pairs.first], at[plan.pairs.second]
    fitted = (
        recogniser.fit(learned.features[name], identity) if recogniser.trainable else recogniser
    )

    def verified(one: _Seen, other: _Seen, by: Recogniser) -> dict[str, Any]:
        similarity = by.similarity(
            by.embed(one.features[name][first]), by.embed(other.features[name][second])
        )
        return verify(similarity, plan.pairs.same, plan.pairs.fold).as_json()

    knows = None
    if adapted and recogniser.trainable:
        features = np.concatenate([seen.features[name] for seen in adapted])
        knows = recogniser.fit(features, np.tile(identity, len(adapted)))
    return {
        "name": name,
        "trained_on": list(np.unique(plan.faces.fold[plan.train]).tolist())
        if recogniser.trainable
        else None,
        "raw": verified(raw, raw, fitted),
        "resized": verified(resized, resized, fitted) if resized else None,
        "modified": verified(modified, modified, fitted),
        "modified_one_side": verified(modified, raw, fitted),
        "adapted": verified(modified, modified, knows) if knows else None,
    }
