"""How faces behind an anonymizer are measured: settings, and which images take which part.

Nobody is measured whom the anonymizer or a recogniser has learned.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool
from pydantic import Field

from unseen.anonymizers.base import Anonymizer
from unseen.boxes import FACE_ENLARGEMENT
from unseen.config import FitConfig
from unseen.data.face_images import FaceImages, Pairs, draw_pairs, with_folds
from unseen.data.seen import digest_of
from unseen.errors import ConfigError, DataError
from unseen.models.recogniser import Recogniser
from unseen.models.recognisers import load_recogniser
from unseen.overrides import Section, Seed


class FaceEvaluation(Section):
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
    seed: Seed = 0


@dataclass(frozen=True)
class FacePlan:
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


def plan_faces(
    faces: FaceImages, config: FaceEvaluation, module: Anonymizer, title: str
) -> FacePlan:
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
    if len(folds) == 1:
        raise ConfigError(
            f"fold {folds[0]} alone cannot be measured, as its threshold is chosen on others: name "
            "at least two (--folds 7,8)"
        )
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
    return FacePlan(faces, recognisers, tuple(folds), test, train, pairs, left_out, unchecked)


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
