"""Face images by identity, and pairs of them: what verification and identification need.

A data set's own module (`lfw`, `casia_webface`, `orl`) registers how its folder becomes
`FaceImages`; `load_faces` finds it by name. Images are read when asked for, one at a time.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image

from unseen.boxes import enlarged
from unseen.data.pictures import cut_out, read_picture
from unseen.errors import ConfigError, DataError
from unseen.registry import Registry, Spec

FaceBox: TypeAlias = Float[np.ndarray, "4"]


@dataclass(frozen=True)
class Framing:
    """Where the face lies in a picture, as shares of its width and height.

    Attributes:
        box: (x0, y0, x1, y1), the face as a detector finds it.
        landmarks: eyes, nose tip, mouth corners, (x, y), left in the picture first.
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]

    def landmarks_in(self, box: FaceBox) -> Float[np.ndarray, "5 2"]:
        """The landmarks in pixels (centres at whole numbers) of a face with this box in pixels."""
        low, high = np.array(self.box[:2]), np.array(self.box[2:])
        shares = (np.array(self.landmarks) - low) / (high - low)
        return np.asarray(box[:2] + shares * (box[2:] - box[:2]) - 0.5, np.float32)


# How LFW and CASIA-WebFace frame their people: medians of what the detector CenterFace, that of
# `unseen anonymize`, finds in 120 of LFW's deep-funneled pictures. Landmarks there scatter by 1 to
# 2% of the side.
CENTRED = Framing(
    box=(0.3089375, 0.256875, 0.6920625, 0.763125),
    landmarks=((0.416, 0.458), (0.589, 0.450), (0.506, 0.554), (0.432, 0.636), (0.577, 0.629)),
)
WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Face:
    """One picture of a face.

    Attributes:
        image: RGB.
        box: the face, `(x0, y0, x1, y1)` in pixels.
        landmarks: eyes, tip of the nose, corners of the mouth as `(x, y)` in pixels, the person's
            right ones first (left in the picture); None where they are not known.
    """

    image: UInt8[np.ndarray, "height width 3"]
    box: FaceBox
    landmarks: Float[np.ndarray, "5 2"] | None = None


def enlarged_box(face: Face, enlargement: float) -> FaceBox:
    """The face box enlarged about its centre; it may reach beyond the picture.

    Where the face fills the picture (ORL) it stays as it is: no more was ever there.

    Args:
        face: with its box.
        enlargement: how many times as wide and high.
    """
    box = face.box.astype(np.float64)
    if np.array_equal(box, (0, 0, *face.image.shape[1::-1])):
        return box
    return enlarged(box, enlargement)


def crop(face: Face, enlargement: float, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """The enlarged face box as a square image; beyond the picture its edge is repeated."""
    box = enlarged_box(face, enlargement)
    x0, y0 = np.floor(box[:2]).astype(int).tolist()
    x1, y1 = np.ceil(box[2:]).astype(int).tolist()
    part = Image.fromarray(cut_out(face.image, (x0, y0, x1, y1)))
    return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class Pairs:
    """Pairs of face images to verify, by their positions in `FaceImages`.

    Attributes:
        first, second: the two images.
        same: whether both show one person.
        fold: the fold of a pair, counted from 1.
    """

    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    same: Bool[np.ndarray, " pairs"]
    fold: Int[np.ndarray, " pairs"]

    def __len__(self) -> int:
        return len(self.same)

    def of_folds(self, folds: Sequence[int]) -> "Pairs":
        """The pairs of some folds."""
        kept = np.isin(self.fold, folds)
        return Pairs(self.first[kept], self.second[kept], self.same[kept], self.fold[kept])


@dataclass(frozen=True)
class FaceImages:
    """Images of faces with the names of the people.

    Attributes:
        name: of the data set.
        root: its folder.
        paths: of the images, relative to the root.
        people: names, sorted.
        identity: position in `people` of each image.
        fold: fold of each image, counted from 1; 0 where none is published.
        face: the box of the face in each image, as shares of its width and height.
        pairs: the published pairs whose images are both here; None where none are published.
        listed_pairs: how many pairs are published for each fold, absent ones included.
    """

    name: str
    root: Path
    paths: tuple[str, ...]
    people: tuple[str, ...]
    identity: Int[np.ndarray, " images"]
    fold: Int[np.ndarray, " images"]
    face: tuple[float, float, float, float] = WHOLE
    pairs: Pairs | None = None
    listed_pairs: int = 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Face:
        """Read an image.

        Raises:
            DataError: it is missing or damaged.
        """
        image = read_picture(self.root / self.paths[index])
        height, width = image.shape[:2]
        return Face(image, np.array(self.face, np.float32) * (width, height, width, height))

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that there are, in order."""
        return tuple(int(fold) for fold in np.unique(self.fold) if fold > 0)

    def of_folds(self, folds: Sequence[int]) -> npt.NDArray[np.int64]:
        """Positions of the images of some folds.

        Raises:
            DataError: one of the folds has no image.
        """
        absent = [fold for fold in folds if fold not in self.folds]
        if absent:
            have = ", ".join(map(str, self.folds)) or "none"
            names = ", ".join(map(str, absent))
            raise DataError(f"{self.name} in '{self.root}' has no fold {names}; there are: {have}")
        return np.flatnonzero(np.isin(self.fold, folds))

    def hash(self) -> str:
        """SHA-256 over paths, people, folds and the files' bytes, hexadecimal."""
        sha = hashlib.sha256(f"{self.people} {self.fold.tolist()}".encode())
        for path in self.paths:
            sha.update(f"{path}\n".encode())
            sha.update((self.root / path).read_bytes())
        return sha.hexdigest()


def face_images(
    name: str,
    root: Path,
    images: Sequence[tuple[str, str]],
    *,
    fold_of: dict[str, int] | None = None,
    face: tuple[float, float, float, float] = WHOLE,
) -> FaceImages:
    """Face images from (path, person) in any order; they are sorted.

    Args:
        name: of the data set.
        root: what the paths are relative to.
        images: each with the name of its person.
        fold_of: the fold of each person, if any are published.
        face: see `FaceImages`.
    """
    ordered = sorted(images, key=lambda each: (each[1], each[0]))
    people = sorted({person for _, person in ordered})
    number = {person: i for i, person in enumerate(people)}
    return FaceImages(
        name=name,
        root=root,
        paths=tuple(path for path, _ in ordered),
        people=tuple(people),
        identity=np.array([number[person] for _, person in ordered], np.int64),
        fold=np.array([(fold_of or {}).get(person, 0) for _, person in ordered], np.int64),
        face=face,
    )


def with_folds(faces: FaceImages, folds: int, seed: int) -> FaceImages:
    """The images with people drawn into so many folds, if no folds are published."""
    if faces.folds:
        return faces
    order = np.random.default_rng([seed, 11]).permutation(len(faces.people))
    of_person = np.empty(len(order), np.int64)
    of_person[order] = 1 + np.arange(len(order)) % folds
    return replace(faces, fold=of_person[faces.identity])


def draw_pairs(faces: FaceImages, folds: Sequence[int], count: int, seed: int) -> Pairs:
    """Pairs drawn the way LFW's were: `count` of one person and `count` of two for each fold.

    A matched pair is a person drawn among those with several images, and two of these; a
    mismatched one two people and an image of each; a pair drawn before is drawn again. Both
    people of a pair are of its fold.

    Raises:
        DataError: a fold has too few images for so many different pairs.
    """
    first: list[int] = []
    second: list[int] = []
    same: list[bool] = []
    fold_of: list[int] = []
    for fold in folds:
        rng = np.random.default_rng([seed, fold, 13])
        by_person: defaultdict[int, list[int]] = defaultdict(list)
        for i in faces.of_folds([fold]):
            by_person[int(faces.identity[i])].append(int(i))
        everyone = [by_person[person] for person in sorted(by_person)]
        several = [images for images in everyone if len(images) > 1]
        total = sum(map(len, everyone))
        matched = sum(len(images) * (len(images) - 1) // 2 for images in several)
        mismatched = total * (total - 1) // 2 - matched
        if min(matched, mismatched) < count:
            raise DataError(
                f"fold {fold} of {faces.name} has {matched} pairs of one person and {mismatched} "
                f"of two: too few to draw {count} of each; ask for fewer pairs or fewer folds"
            )
        for wanted in (True, False):
            drawn: set[tuple[int, int]] = set()
            while len(drawn) < count:
                if wanted:
                    images = several[rng.integers(len(several))]
                    one, other = rng.choice(images, 2, replace=False)
                else:
                    a, b = rng.choice(len(everyone), 2, replace=False)
                    one, other = rng.choice(everyone[a]), rng.choice(everyone[b])
                pair = (int(min(one, other)), int(max(one, other)))
                if pair not in drawn:
                    drawn.add(pair)
                    first.append(int(one))
                    second.append(int(other))
                    same.append(wanted)
                    fold_of.append(fold)
    return Pairs(
        np.array(first, np.int64),
        np.array(second, np.int64),
        np.array(same, np.bool_),
        np.array(fold_of, np.int64),
    )


FACES: Registry[Callable[[Path, Spec], FaceImages]] = Registry("face data set")
# Those that are drawn and need no folder.
DRAWN: set[str] = set()


def load_faces(name: str, root: Path | None = None) -> FaceImages:
    """Face images of a data set.

    Args:
        name: `lfw`, `casia-webface`, `orl`, or generated `duet-faces[:PEOPLE]`; those are known
            whose modules were imported.
        root: its folder, unless it is generated.

    Raises:
        UnknownNameError: no such data set.
        ConfigError: no folder was named, or one that would not be read.
        DataError: naming every fault of its files and lists.
    """
    spec = Spec.parse(name)
    load = FACES[spec.name]
    if root is None and spec.name not in DRAWN:
        raise ConfigError(f"the faces of '{spec}' are in a folder: name it (--root DIR)")
    if root is not None and spec.name in DRAWN:
        raise ConfigError(f"the folder '{root}' is not read: '{spec}' is drawn; leave out one")
    return load(root or Path(), spec)
