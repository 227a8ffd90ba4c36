"""What a run of Ren18's game learns from and measures on: pictures of people, frames of actions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unseen.data.action_frames import refuse_unread_folder
from unseen.data.lfw import PEOPLE
from unseen.errors import ConfigError, DataError, together
from unseen.face_config import FaceDataConfig
from unseen.faces.actions import FacesFound, load_frames_with_faces
from unseen.faces.images import (
    TrainingFaces,
    draw_people,
    people_folder,
    people_of,
    read_folds,
    read_people,
)

_NO_DATA = "neither the actions nor the faces can be loaded"


@dataclass(frozen=True)
class FaceData:
    """What a run learns from and measures on; no person is in both.

    Attributes:
        train: F, faces to learn from.
        val: faces of other people.
        actions: V, or None.
    """

    train: TrainingFaces
    val: TrainingFaces
    actions: FacesFound | None = None


def load_face_data(config: FaceDataConfig) -> FaceData:
    """Read the pictures of a configuration.

    Raises:
        ConfigError: where no folder is named, or one that would not be read.
        DataError: for lists or pictures that cannot be read, or too few people.
    """
    loading: tuple[Callable[[], Any], ...] = (partial(_actions, config), partial(_faces, config))
    actions, (learned, measured) = together(DataError, _NO_DATA, loading)
    return FaceData(learned, measured, actions)


def refuse_face_data(config: FaceDataConfig) -> None:
    """Raise what `load_face_data` would, as far as no picture has to be read or drawn to tell."""
    unread = config.model_copy(update={"lazy": True})
    drawn = config.generated > 0
    checks: list[Callable[[], Any]] = [partial(_actions, config)]
    checks.append(partial(_refuse_unread, config) if drawn else partial(_faces, unread))
    together(DataError, _NO_DATA, checks)


def _actions(config: FaceDataConfig) -> FacesFound | None:
    """V, where the configuration has it."""
    refuse_unread_folder(config.actions, config.actions_root)
    if config.actions is None:
        return None
    where = None if config.actions_root is None else Path(config.actions_root)
    return load_frames_with_faces(config.actions, where, "train", side=config.short_side)


def _faces(config: FaceDataConfig) -> tuple[TrainingFaces, TrainingFaces]:
    """F to learn from, and to measure on."""
    if config.generated:
        _refuse_unread(config)
        more = max(2, config.generated // 4)
        learned, measured = (
            draw_people(0, config.generated, config.takes, config.side),
            draw_people(config.generated, more, config.takes, config.side),
        )
    elif config.root is None:
        raise ConfigError("data.root: name the folder of the faces with --root")
    else:
        root = Path(config.root)
        folder = people_folder(root)
        learned, measured = together(
            DataError,
            f"{root}: neither the faces to learn from nor those to measure on can be read",
            [
                partial(
                    read_people, folder, sorted(people), config.side,
                    least=config.least, lazy=config.lazy,
                )
                for people in _people(config, root, folder)
            ],
        )  # fmt: skip
    _refuse_few(learned, measured)
    return learned, measured


def _refuse_unread(config: FaceDataConfig) -> None:
    """Raise `ConfigError` where people are drawn, and a folder of others was named."""
    if config.root is not None:
        raise ConfigError(
            f"the folder '{config.root}' is not read: data.generated={config.generated} draws "
            "people; leave out --root, or set data.generated=0"
        )


def _refuse_few(learned: TrainingFaces, measured: TrainingFaces) -> None:
    """Raise `DataError` where there is nobody to tell apart, in training or in measuring."""
    faults = []
    if len(learned.names) < 2:
        faults.append(f"to learn from there is {learned.names[0]} alone: two are needed")
    if len(measured.names) < 2 or len(measured) == len(measured.names):
        faults.append(
            f"to measure on there are {len(measured)} pictures of {len(measured.names)} people: "
            "two are needed, one of them with two pictures"
        )
    if faults:
        raise DataError("too few people (data.least, folds or data.val_share may be why):", faults)


def _people(config: FaceDataConfig, root: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Whom to learn from, and whom to measure on."""
    there = people_of(folder)
    if config.people is None:
        order = np.random.default_rng(0).permutation(len(there))
        count = max(2, round(config.val_share * len(there)))
        return [there[i] for i in order[count:]], [there[i] for i in order[:count]]
    listed = _list_of_people(config.people, root, folder)
    folds = read_folds(listed)
    wanted = {*config.train_folds, *config.val_folds}
    if not all(1 <= fold <= len(folds) for fold in wanted):
        raise DataError(
            f"{listed} has folds 1 to {len(folds)}, but the configuration asks for {sorted(wanted)}"
        )
    present = set(there)
    found = {fold: [name for name in folds[fold - 1] if name in present] for fold in wanted}
    for chosen in (config.train_folds, config.val_folds):
        if not any(found[fold] for fold in chosen):
            wrong = ", ".join(map(str, chosen))
            raise DataError(f"of folds {wrong} of {listed} nobody has a folder in {folder}")
    train, val = (
        [name for fold in chosen for name in found[fold]]
        for chosen in (config.train_folds, config.val_folds)
    )
    return train, val


def _list_of_people(name: str, root: Path, folder: Path) -> Path:
    """LFW's list has two names, and lies beside the people or above them."""
    names = (name, *PEOPLE) if name in PEOPLE else (name,)
    places = [place / each for each in names for place in (root, folder)]
    return next((place for place in places if place.is_file()), root / name)
