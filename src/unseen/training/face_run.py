"""A run of Ren18's game: D on real faces, M on its pictures, the game, A alone; and its folder.

Killed at any moment and resumed, a run ends with the same weights, bit for bit: the state between
two steps is in the checkpoint, and randomness is a function of the step. It may go on with another
number of threads or processes or on another device, which round differently: the bits are then
others. A GPU, which adds up some gradients in any order, repeats itself up to rounding.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from lightning_fabric import Fabric
from sklearn.metrics import roc_curve
from torch.nn import functional as F

from unseen.anonymizers.modifier import save_modifier
from unseen.data.seen import digest_of, write_seen
from unseen.errors import ConfigError, DataError, RunError, together
from unseen.face_config import FaceRunConfig, stored_face_config
from unseen.files import write_json
from unseen.models.action_detector import ActionDetector, save_detector
from unseen.models.sphereface import FaceClassifier, Features, eased, save_classifier
from unseen.training.face_data import FaceData
from unseen.training.face_game import FaceGame, ModifierMove
from unseen.training.folder import (
    TRAINING_FILE,
    changed_settings,
    refuse_other_settings,
    refuse_used_folder,
)
from unseen.training.processes import make_fabric, refuse_machine
from unseen.training.stages import Stage, StagedRun
from unseen.training.state import known, running_mean


@dataclass(frozen=True)
class FaceTrained:
    """A finished run.

    Attributes:
        folder: where its weights are.
        verification_raw: accuracy of D on pairs of validation faces as they are.
        verification_modified: the same on modified faces; D was in the game, so that this is no
            measure of privacy.
        seconds: of training.
    """

    folder: Path
    verification_raw: float
    verification_modified: float
    seconds: float


@dataclass
class _State:
    """Counters and the account of a run; JSON, part of each checkpoint."""

    stage: int = 0
    step: int = 0
    moves: int = 0
    recognition: float = math.nan
    privacy: float = math.nan
    l1: float = math.nan
    realism: float = math.nan
    detection: float = math.nan
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)


def refuse_faces(config: FaceRunConfig, folder: Path, *, resume: bool) -> None:
    """Raise all reasons why this run cannot be started or resumed here, or on this machine."""
    checks: list[Callable[[], object]] = [
        partial(refuse_machine, config.train),
        partial(_refuse_folder, config, folder, resume=resume),
        partial(FaceClassifier, config.recogniser, 2),
        partial(ActionDetector, config.detector, ("action",), config.data.short_side),
    ]
    with torch.device("meta"):  # only whether there are such networks
        together(ConfigError, f"{folder} cannot be trained so", checks)


def _refuse_folder(config: FaceRunConfig, folder: Path, *, resume: bool) -> None:
    path = refuse_used_folder(folder, resume=resume)
    if not resume:
        return
    stored = stored_face_config(path)
    if stored is None:
        raise RunError(f"{folder} is the run of a filter, not of a face modifier; start a new run")
    refuse_other_settings(folder, changed_settings(stored, config))


def train_faces(
    config: FaceRunConfig, data: FaceData, folder: Path, *, resume: bool = False
) -> FaceTrained:
    """Train a face modifier by Ren18's game and write it to `folder`.

    Args:
        config: what to do.
        data: faces and, where the configuration has them, frames with actions.
        folder: the run's folder; new, unless `resume`.
        resume: go on where the last checkpoint was written.
    """
    refuse_faces(config, folder, resume=resume)
    run = _FaceRun(config, data, folder, make_fabric(config.train))
    run.open(resume)
    return run.go()


class _FaceRun(StagedRun):
    state: _State

    def __init__(self, config: FaceRunConfig, data: FaceData, folder: Path, fabric: Fabric) -> None:
        self.config, self.data = config, data
        self.game = FaceGame(config, data.train, data.actions, fabric)
        self.people = [digest_of(name) for name in data.train.names]
        learned: dict[str, Any] = {"people": self.people}
        if (frames := data.actions) is not None:
            videos = [frames.video_of(index) for index in range(len(frames))]
            learned["actions"] = digest_of(repr((frames.classes, videos)))
        super().__init__(config, folder, self.game, fabric, learned)
        self._use({})

    def _use(self, state: Mapping[str, Any]) -> None:
        self.state = _State(**state)

    # ------------------------------------------------------------ stages

    def go(self) -> FaceTrained:
        train = self.config.train
        self._go_through(
            [
                Stage("recogniser", train.init_recogniser, self._recognise),
                Stage("modifier", train.init_modifier, self._reconstruct),
                Stage("game", train.steps, self._game_step),
                Stage("detector", train.finish if self.game.detector else 0, self._detect),
            ]
        )
        return self._finish()

    def _prepare(self, stage: Stage) -> None:
        """Step sizes (Ren18 section 4), and how hard the angular softmax is."""
        step, least = self.state.step, self.config.game.ease
        falls = stage.name in ("game", "detector")
        dropped = falls and step >= self.config.train.lr_drop * stage.length
        self.game.set_rate(0.1 if dropped else 1.0)
        self.game.ease = eased(step, least) if stage.name == "recogniser" else least

    def _recognise(self) -> None:
        self.state.recognition = running_mean(self.state.recognition, self.game.recognise_step())

    def _reconstruct(self) -> None:
        self._note(self.game.reconstruct_step())

    def _game_step(self) -> None:
        """One round of algorithm 1: D, then M and A; before it a restart of D where one is due."""
        game, step = self.config.game, self.state.step
        if game.restart_every and step and step % game.restart_every == 0:
            self.game.restart()
            for t in range(game.restart_steps):
                self.game.ease = eased(t, game.ease)
                self.game.recogniser_step()
            self.game.ease = game.ease
            self.game.set_rate(self.game.factor)  # D has learned: its step size falls as all do
        for _ in range(game.recogniser_steps - 1):
            self.game.recogniser_step()
        loss, move = self.game.round()
        self.state.recognition = running_mean(self.state.recognition, loss)
        self._note(move)

    def _detect(self) -> None:
        self.state.detection = running_mean(self.state.detection, self.game.detector_step())

    def _note(self, move: ModifierMove) -> None:
        for name, value in asdict(move).items():
            setattr(self.state, name, running_mean(getattr(self.state, name), value))

    def _status(self) -> str:
        state = self.state
        return (
            f"L_D {state.recognition:.2f} privacy {state.privacy:.2f} L1 {state.l1:.3f} "
            f"L_det {state.detection:.2f}"
        )

    def _log(self, stage: Stage) -> None:
        raw, modified = self._verification()
        self._count_seconds()
        state = self.state
        means = ("recognition", "privacy", "l1", "realism", "detection")
        state.rows.append(
            {"stage": stage.name, "step": state.step}
            | {name: known(getattr(state, name)) for name in means}
            | {"verification_raw": raw, "verification_modified": modified}
            | {"seconds": state.seconds}
        )

    def _verification(self) -> tuple[float, float]:
        real, modified = self.game.embeddings(self.data.val)
        identities = self.data.val.identities
        return verification(real, identities), verification(modified, identities)

    # ------------------------------------------------------------ the end

    def _finish(self) -> FaceTrained:
        raw, modified = self._verification()
        trained = FaceTrained(self.folder, raw, modified, self.state.seconds)
        if self.fabric.global_rank == 0:
            self._write_run(trained)
        self.fabric.barrier()  # what follows in any process finds the whole run
        return trained

    def _write_run(self, trained: FaceTrained) -> None:
        measured = {
            "verification_raw": trained.verification_raw,
            "verification_modified": trained.verification_modified,
        }
        write_seen(self.folder, "people", self.people)
        save_classifier(self.game.recogniser, self.folder)
        if self.game.detector is not None:
            save_detector(self.game.detector, self.folder)
        write_json(
            self.folder / TRAINING_FILE,
            {
                "preset": self.config.preset,
                "seconds": self.state.seconds,
                "people": len(self.data.train.names),
                "pictures": len(self.data.train),
                "rows": self.state.rows,
                "measured": measured,
            },
        )
        about = {
            "preset": self.config.preset,
            "people": len(self.data.train.names),
            "actions": None if self.data.actions is None else self.data.actions.name,
            "steps": self.config.train.steps,
        }
        save_modifier(self.game.result, self.folder, about | measured)


_PAIRS = 2000  # of each kind, at most


def verification(features: Features, identities: Int[np.ndarray, " faces"]) -> float:
    """Accuracy on equally many pairs of one person and of two, at the best threshold.

    The same pairs of the same faces each time; the threshold on the cosine is chosen on the same
    pairs, which flatters a recogniser a little.

    Args:
        features: of each face.
        identities: of each face.
    """
    people = [np.flatnonzero(identities == person) for person in np.unique(identities)]
    alike = [of[np.stack(np.triu_indices(len(of), 1), 1)] for of in people]
    # Drawn, as there are too many to list; of few faces that is nearly all of them.
    drawn = np.random.default_rng(1).integers(len(identities), size=(8 * _PAIRS, 2))
    unlike = np.sort(drawn, 1)[identities[drawn[:, 0]] != identities[drawn[:, 1]]]
    same, different = (np.unique(kind, axis=0) for kind in (np.concatenate(alike), unlike))
    count = min(_PAIRS, len(same), len(different))
    if not count:
        raise DataError("verification needs two people, one of them with two pictures")
    rng = np.random.default_rng(0)
    pairs = np.concatenate([kind[rng.permutation(len(kind))[:count]] for kind in (same, different)])
    scores = F.cosine_similarity(features[pairs[:, 0]], features[pairs[:, 1]]).numpy()
    false, true, _ = roc_curve(np.repeat([1, 0], count), scores)
    return float(((true + 1 - false) / 2).max())
