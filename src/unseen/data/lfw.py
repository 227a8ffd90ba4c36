"""Labeled Faces in the Wild (Huang 2007): 13,233 images of 5,749 people (Ren18 5.1).

Official layout: `<Name>/<Name>_<4 digits>.jpg`, in the folder itself or in `lfw`,
`lfw-deepfunneled` or `lfw_funneled`; beside the people or above them `pairs.txt` (a line
`<folds> <pairs>`, then for each fold so many lines `<Name> <i> <j>` of one person and as many
`<Name> <i> <Name> <j>` of two) and `people.txt` (the number of folds, then for each a line with
the number of people and lines `<Name> <images>`), which older copies call `LFW_people.txt`.

A part of the people or of the images is a valid data set: what is absent is counted, not a fault.
LFW cut its images out 2.2 times as wide and high as what its own detector found; the face box here
is the higher one that the detector of `unseen anonymize` finds there.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unseen.data.face_images import CENTRED, FACES, FaceImages, Pairs, face_images
from unseen.data.official import OFFICIAL, Inventory, Item, expect, read_lines, refuse_faults
from unseen.registry import Spec

OFFICIAL_COUNTS = {"images": 13233, "people": 5749, "folds": 10, "pairs": 6000}
FOLDERS = ("lfw", "lfw-deepfunneled", "lfw_funneled")
PEOPLE = ("people.txt", "LFW_people.txt")
# Lines of absent people and images in a report.
_SHOWN = 5


@dataclass(frozen=True)
class Listed:
    """A line of `pairs.txt`: two images by person and number; fold and line, counted from 1."""

    first: tuple[str, int]
    second: tuple[str, int]
    fold: int
    line: int

    @property
    def same(self) -> bool:
        """Whether both are of one person."""
        return self.first[0] == self.second[0]


@dataclass(frozen=True)
class Lists:
    """What LFW's lists say.

    Attributes:
        pairs: in the order of `pairs.txt`.
        per_fold: how many pairs each fold has.
        images: number of images of each person, by `people.txt`; empty without it.
        fold_of: fold of each person, by `people.txt`, and without it by `pairs.txt`.
    """

    pairs: tuple[Listed, ...]
    per_fold: int
    images: dict[str, int]
    fold_of: dict[str, int]


@OFFICIAL.register("lfw")
def _read(root: Path, spec: Spec) -> Inventory:
    spec.no_option()
    return read_lfw(root)


@FACES.register("lfw")
def _faces(root: Path, spec: Spec) -> FaceImages:
    spec.no_option()
    return load_lfw(root)


def read_lfw(root: Path) -> Inventory:
    """What a folder with LFW holds; the label column is `identity`.

    Raises:
        DataError: there is no `pairs.txt`, or there are no images.
    """
    faults: list[str] = []
    files = _images(root, faults)
    lists = _lists(root, faults)
    have = {key: path for path, key in files.items()}
    people = {person for person, _ in have}
    for person, number in sorted(have):
        if lists.images and not 0 < number <= lists.images.get(person, number):
            faults.append(
                f"'{have[person, number]}': '{person}' has {lists.images[person]} images, "
                "numbered from 1"
            )
    missing = [
        f"{person}_{number:04d}"
        for person, count in sorted(lists.images.items())
        if person in people
        for number in range(1, count + 1)
        if (person, number) not in have
    ]
    there = [pair for pair in lists.pairs if pair.first in have and pair.second in have]
    listed = frozenset(
        path for path, (person, _) in files.items() if not lists.images or person in lists.images
    )
    return Inventory(
        name="lfw",
        root=root,
        kind="image",
        items=tuple(
            Item(path, None, {"identity": person})
            for path, (person, _) in sorted(files.items())
            if path in listed
        ),
        files=frozenset(files),
        counts={
            "images": len(files),
            "people": len(people),
            "folds": len({fold for person, fold in lists.fold_of.items() if person in people}),
            "pairs": len(there),
        },
        official=OFFICIAL_COUNTS,
        absent={
            "people": _some([person for person in sorted(lists.images) if person not in people]),
            "images": _some(missing),
        },
        faults=tuple(faults),
    )


def load_lfw(root: Path) -> FaceImages:
    """LFW as face images, with the published pairs whose images are there.

    Raises:
        DataError: naming every fault of the lists and of the names of the files.
    """
    faults: list[str] = []
    files = _images(root, faults)
    lists = _lists(root, faults)
    refuse_faults("lfw", root, faults)
    images = [(path, person) for path, (person, _) in files.items()]
    faces = face_images("lfw", root, images, fold_of=lists.fold_of, face=CENTRED.box)
    at = {files[path]: i for i, path in enumerate(faces.paths)}
    there = [pair for pair in lists.pairs if pair.first in at and pair.second in at]
    return replace(
        faces,
        pairs=Pairs(
            np.array([at[pair.first] for pair in there], np.int64),
            np.array([at[pair.second] for pair in there], np.int64),
            np.array([pair.same for pair in there], np.bool_),
            np.array([pair.fold for pair in there], np.int64),
        ),
        listed_pairs=lists.per_fold,
    )


def _images(root: Path, faults: list[str]) -> dict[str, tuple[str, int]]:
    """Person and number of each image, by its path."""
    expect("LFW", root, {"pairs.txt": "the pairs of the ten folds"})
    folder = next((root / name for name in FOLDERS if (root / name).is_dir()), root)
    files: dict[str, tuple[str, int]] = {}
    for path in sorted(folder.glob("*/*.jpg")):
        where = path.relative_to(root).as_posix()
        name = re.fullmatch(r"(.+)_(\d{4})", path.stem)
        if name is None or name[1] != path.parent.name:
            faults.append(f"'{where}' is not called '{path.parent.name}_<4 digits>.jpg'")
        else:
            files[where] = (name[1], int(name[2]))
    if not files:
        faults.append(f"'{folder}' holds no image '<Name>/<Name>_0001.jpg'")
    return files


def _lists(root: Path, faults: list[str]) -> Lists:
    listing = next((root / name for name in PEOPLE if (root / name).exists()), None)
    folds = people_in_folds(listing, faults) if listing else []
    images = {person: count for people in folds for person, count in people.items()}
    fold_of = {person: fold for fold, people in enumerate(folds, 1) for person in people}
    pairs, per_fold = _pairs(root / "pairs.txt", faults)
    known = len(faults)
    for pair in pairs:
        where = f"pairs.txt, line {pair.line}"
        for person, image in (pair.first, pair.second):
            if not images:
                fold_of.setdefault(person, pair.fold)
            elif person not in images:
                faults.append(f"{where}: '{person}' is in no line of the list of people")
            elif not 0 < image <= images[person]:
                faults.append(f"{where}: '{person}' has {images[person]} images, not {image}")
    faults[known:] = dict.fromkeys(faults[known:])
    return Lists(tuple(pairs), per_fold, images, fold_of)


def people_in_folds(path: Path, faults: list[str]) -> list[dict[str, int]]:
    """A list of people as `people.txt`: of each fold, people and how many images they have.

    Args:
        path: the list.
        faults: to which those of the list are added; with any, what is returned is not whole.
    """
    folds: list[dict[str, int]] = []
    known: set[str] = set()
    before, left = len(faults), 0
    lines = read_lines(path, faults)
    if len(faults) > before:
        return folds
    for line, text in lines[1:]:
        cells = text.split()
        if left == 0 and len(cells) == 1 and cells[0].isdecimal():
            folds.append({})
            left = int(cells[0])
        elif left and len(cells) == 2 and cells[1].isdecimal():
            left -= 1
            if cells[0] in known:
                faults.append(f"{path.name}, line {line} repeats '{cells[0]}'")
            known.add(cells[0])
            folds[-1][cells[0]] = int(cells[1])
        else:
            wanted = "'<Name> <images>'" if left else "the number of people of a fold"
            faults.append(f"{path.name}, line {line}: '{text}' is not {wanted}")
            return folds
    if left or not lines or lines[0][1] != str(len(folds)):
        faults.append(
            f"{path.name} ends before its last fold: it names {lines[0][1] if lines else 'no'} "
            f"folds and holds {len(folds)}, the last {f'{left} people short' if left else 'whole'}"
        )
    return folds


def _pairs(path: Path, faults: list[str]) -> tuple[list[Listed], int]:
    """The pairs, and how many there are in each fold."""
    lines = read_lines(path, faults)
    head = lines[0][1].split() if lines else []
    if len(head) != 2 or not all(map(str.isdecimal, head)) or "0" in head:
        faults.append(f"{path.name} does not begin with the numbers of folds and of pairs")
        return [], 0
    folds, count = map(int, head)
    if len(lines) - 1 != 2 * folds * count:
        faults.append(
            f"{path.name} has {len(lines) - 1} pairs; its first line names {folds} folds of "
            f"{count} matched and {count} mismatched ones"
        )
        return [], 2 * count
    pairs: list[Listed] = []
    for number, (line, text) in enumerate(lines[1:]):
        fold, matched = number // (2 * count) + 1, number % (2 * count) < count
        cells = text.split()
        form = "<Name> <i> <j>" if matched else "<Name> <i> <Name> <j>"
        numbers = cells[1:] if matched else cells[1::2]
        if len(cells) != len(form.split()) or not all(map(str.isdecimal, numbers)):
            faults.append(f"{path.name}, line {line}: '{text}' is not of the form '{form}'")
            continue
        first = (cells[0], int(cells[1]))
        second = (cells[0], int(cells[2])) if matched else (cells[2], int(cells[3]))
        pair = Listed(first, second, fold, line)
        if first == second or pair.same != matched:
            kind = "two images of one person" if matched else "images of two people"
            faults.append(f"{path.name}, line {line}: '{text}' are not {kind}")
        pairs.append(pair)
    return pairs, 2 * count


def _some(names: list[str]) -> list[str]:
    """The first few names, and how many more there are."""
    rest = len(names) - _SHOWN
    return [*names[:_SHOWN], f"and {rest} more"] if rest > 0 else names
