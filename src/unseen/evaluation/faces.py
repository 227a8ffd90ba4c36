"""From an anonymizer and face images to a result file: who is still recognised?

Three questions, of people whom the recognisers did not train on: are two modified faces, or a
modified and a raw one, of one person (verification, LFW's protocol)? The same after a recogniser
was trained on modified faces of other people? Who of many known people is it (the parrot attack)?
Raw faces, and faces that were merely resized as the anonymizer resizes them, stand beside.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unseen.anonymizers.base import Anonymizer
from unseen.anonymizers.baselines import Resized
from unseen.anonymizers.handcrafted import Raw
from unseen.anonymizers.load import load_anonymizer, refuse_device
from unseen.anonymizers.modifier import FaceModifier
from unseen.data.face_images import (
    FaceImages,
    crop,
    enlarged_box,
)
from unseen.errors import ConfigError, together
from unseen.evaluation.face_plan import FaceEvaluation, FacePlan, plan_faces
from unseen.evaluation.face_results import write_face_result
from unseen.evaluation.identification import identify, split_by_person
from unseen.evaluation.modified_faces import batches, refuse_bodies
from unseen.evaluation.provenance import provenance
from unseen.evaluation.results import FACES, refuse_result_file
from unseen.evaluation.verification import verify
from unseen.faces.region import too_small
from unseen.models import canonical, parameter_count
from unseen.models.recogniser import Recogniser
from unseen.models.recognisers import load_recogniser
from unseen.progress import progress


@dataclass(frozen=True)
class _Seen:
    """What was read from some images, row by row: features by recogniser, and crops.

    `blackened` counts faces with too few pixels for the anonymizer, which were painted black.
    """

    features: dict[str, npt.NDArray[Any]]
    crops: npt.NDArray[np.uint8]
    blackened: int


def prepare_faces(
    anonymizer: str | Path | Anonymizer, out: Path, config: FaceEvaluation
) -> Anonymizer:
    """The anonymizer; or every reason why nothing could be measured that needs no faces to tell."""

    def loaded() -> Anonymizer:
        it = anonymizer if isinstance(anonymizer, Anonymizer) else load_anonymizer(anonymizer)
        refuse_bodies(it)
        return it

    checks: list[Callable[[], Any]] = [
        loaded,
        partial(refuse_device, config.device),
        partial(refuse_result_file, out, FACES),
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
    plan = plan_faces(faces, config, module, name)
    parts = split_by_person(plan.faces.identity[plan.test], config.seed)
    made_at = module.config.size if isinstance(module, FaceModifier) else module.working_size
    side = config.resolution or made_at
    raw = _read(plan, plan.test, None, config, "raw faces")
    draws = range(config.draws if module.random else 1)
    modified = [_read(plan, plan.test, module, config, "modified faces", draw) for draw in draws]
    resized = None
    if side is not None and not isinstance(module, Raw):
        resized = _read(plan, plan.test, Resized(side), config, "resized faces")
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
    return write_face_result(out, result)


def _read(
    plan: FacePlan,
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
    plan: FacePlan,
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
