"""Galleries of faces before and after anonymizers (Ren18 Fig. 3, 5 and 6), as PNG files.

They show real people, and go where the user says and nowhere else.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from unseen.anonymizers.base import Anonymizer
from unseen.data.face_images import Face, FaceImages, crop
from unseen.data.pictures import write_picture
from unseen.data.video import read_frames
from unseen.deploy.cover import FacesOnly
from unseen.deploy.paint import evaluating, on_faces
from unseen.errors import ConfigError, DataError
from unseen.evaluation.modified_faces import modify
from unseen.faces.find import Faces, find_faces

Sheet = npt.NDArray[np.uint8]

SIDE = 128
_GAP = 4
_TITLE = 18
# What is shown around the face box: all that is modified, and a little beside.
_SHOWN = 1.8
_PICTURES = 6


def write_galleries(
    anonymizers: Mapping[str, Anonymizer],
    faces: FaceImages,
    folder: Path,
    *,
    folds: Sequence[int] = (),
    people: int = 6,
    seed: int = 0,
) -> list[Path]:
    """Write the galleries of some people.

    `anonymizers.png` (Fig. 3, 5): a row for each of so many people, raw and behind each
    anonymizer; `same-person-<NAME>.png` (Fig. 6), one for each anonymizer: a row for each person,
    several modified pictures of them side by side.

    Args:
        anonymizers: by the name above their column, in order.
        faces: images of people.
        folder: where to.
        folds: whose people; empty: of all.
        people: how many.
        seed: which, and of noise.

    Raises:
        ConfigError: nothing to show.
        DataError: too few people have several images.
    """
    if not anonymizers or people < 1:
        raise ConfigError(f"{len(anonymizers)} anonymizers and {people} people: show at least one")
    rows = _chosen(faces, folds, people, seed)
    first = [faces[row[0]] for row in rows]
    torch.manual_seed(seed)
    columns = [first, *(modify(each, first) for each in anonymizers.values())]
    written = [folder / "anonymizers.png"]
    save(
        sheet([list(row) for row in zip(*columns, strict=True)], ["raw", *anonymizers]), written[0]
    )
    for name, anonymizer in anonymizers.items():
        pictures = [modify(anonymizer, [faces[i] for i in row]) for row in rows]
        written.append(folder / f"same-person-{_safe(name)}.png")
        titles = [name, *(f"{n}" for n in range(2, len(rows[0]) + 1))]
        save(sheet(pictures, titles), written[-1])
    return written


def write_video_galleries(
    anonymizers: Mapping[str, Anonymizer],
    video: Path,
    folder: Path,
    *,
    people: int = 6,
    seed: int = 0,
) -> list[Path]:
    """Write `same-video-<NAME>.png` (Fig. 6, bottom rows), one for each anonymizer.

    A row for each face of the video, those that are detected most often first: several of its
    frames as `unseen anonymize --region faces` makes them, spread evenly over those in which it is
    detected.

    Args:
        anonymizers: by the name above their column, in order.
        video: where the faces are found.
        folder: where to.
        people: at most so many faces.
        seed: of noise.

    Raises:
        ConfigError: nothing to show.
        DataError: no face is detected in as many frames as a row has.
        VideoError: the video cannot be read.
    """
    if not anonymizers or people < 1:
        raise ConfigError(f"{len(anonymizers)} anonymizers and {people} faces: show at least one")
    found = find_faces(video)
    tracks = sorted(found.tracks, key=lambda track: -len(track.frames))[:people]
    tracks = [track for track in tracks if len(track.frames) >= _PICTURES]
    if not tracks:
        raise DataError(f"{video}: no face is detected in {_PICTURES} frames")
    spread = [np.linspace(0, len(track.frames) - 1, _PICTURES).astype(int) for track in tracks]
    wanted = {track.frames[i] for track, chosen in zip(tracks, spread, strict=True) for i in chosen}
    written = []
    for name, anonymizer in anonymizers.items():
        torch.manual_seed(seed)
        images = _anonymized(anonymizer, found, video, wanted)
        rows = [
            [Face(images[track.frames[i]], track.boxes[i], track.landmarks[i]) for i in chosen]
            for track, chosen in zip(tracks, spread, strict=True)
        ]
        written.append(folder / f"same-video-{_safe(name)}.png")
        titles = [name, *(f"{n}" for n in range(2, _PICTURES + 1))]
        save(sheet(rows, titles), written[-1])
    return written


def _anonymized(
    anonymizer: Anonymizer, found: Faces, video: Path, wanted: set[int]
) -> dict[int, Sheet]:
    """Frames as `unseen anonymize` makes them; what it remembers of a face is of all before."""
    with evaluating(anonymizer, "cpu"):
        paint = FacesOnly(found, video, on_faces(anonymizer, "cpu"), anonymizer.least_side)
        frames = enumerate(islice(read_frames(video), max(wanted) + 1))
        painted = ((n, paint([frame.image], [float(frame.time)], n)[0]) for n, frame in frames)
        return {n: image for n, image in painted if n in wanted}


def _safe(name: str) -> str:
    return name.replace(":", "-").replace("/", "-")


def _chosen(faces: FaceImages, folds: Sequence[int], people: int, seed: int) -> list[list[int]]:
    """Positions of several images of each of some people."""
    allowed = faces.of_folds(folds) if folds else np.arange(len(faces))
    identity = faces.identity[allowed]
    numbers, counts = np.unique(identity, return_counts=True)
    several = numbers[counts >= min(3, counts.max(initial=0))]
    if len(several) < people:
        raise DataError(f"{len(several)} people of {faces.name} have several images, not {people}")
    rng = np.random.default_rng([seed, 19])
    drawn = rng.choice(several, people, replace=False)
    images = [allowed[identity == person] for person in drawn]
    shown = min(_PICTURES, *(len(each) for each in images))
    return [[int(i) for i in rng.choice(each, shown, replace=False)] for each in images]


def sheet(rows: Sequence[Sequence[Face]], titles: Sequence[str]) -> Sheet:
    """Faces in rows under the titles of their columns, `uint8 (height, width, 3)`."""
    width = len(titles) * (SIDE + _GAP) + _GAP
    page = np.full((_TITLE + len(rows) * (SIDE + _GAP) + _GAP, width, 3), 255, np.uint8)
    for column, title in enumerate(titles):
        at = (_GAP + column * (SIDE + _GAP), _TITLE - 4)
        cv2.putText(page, title, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (31, 41, 55), 1, cv2.LINE_AA)
    for row, faces in enumerate(rows):
        for column, face in enumerate(faces):
            y = _TITLE + row * (SIDE + _GAP)
            x = _GAP + column * (SIDE + _GAP)
            page[y : y + SIDE, x : x + SIDE] = crop(face, _SHOWN, SIDE)
    return page


def save(page: Sheet, path: Path) -> None:
    """Write a sheet as PNG, whole or not at all."""
    write_picture(path, page)
