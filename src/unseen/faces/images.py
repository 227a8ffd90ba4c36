"""Pictures of faces by identity: what the recogniser and the modifier learn from.

A folder for each person, as LFW and CASIA-WebFace are distributed; the face is in the middle of
each picture. Where it lies exactly comes from `CENTRED` unless a reader knows better.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from unseen.boxes import enlarged
from unseen.data.casia_webface import FOLDER
from unseen.data.duet_faces import face_picture
from unseen.data.face_images import CENTRED, Framing
from unseen.data.lfw import FOLDERS, people_in_folds
from unseen.data.pictures import read_picture
from unseen.errors import DataError
from unseen.progress import progress

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True)
class PictureFiles:
    """Pictures that stay in their files: for sets that do not fit into memory.

    Attributes:
        files: in order.
        side: height and width in pixels of what indexing gives.
    """

    files: tuple[Path, ...]
    side: int

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int | np.integer) -> UInt8[ndarray, "side side 3"]:
        """Read a picture, RGB; one that cannot be read raises `DataError`."""
        return _read(self.files[index], self.side)


@dataclass(frozen=True)
class TrainingFaces:
    """Square pictures of faces, who they show, and where the face is: what runs learn from.

    What is measured on are `unseen.data.face_images.FaceImages`.

    Attributes:
        pictures: `uint8 (pictures, side, side, 3)`, RGB, or files of the same.
        identities: `int64 (pictures,)`, indices into `names`.
        names: of the people.
        regions: `float32 (pictures, 4)`, enlarged face boxes in pixels.
        landmarks: `float32 (pictures, 5, 2)` in pixels, pixel centres at whole numbers.
    """

    pictures: UInt8[ndarray, "pictures side side 3"] | PictureFiles
    identities: Int[ndarray, " pictures"]
    names: tuple[str, ...]
    regions: Float[ndarray, "pictures 4"]
    landmarks: Float[ndarray, "pictures 5 2"]

    def __len__(self) -> int:
        return len(self.pictures)


def framed(
    pictures: UInt8[ndarray, "pictures side side 3"] | PictureFiles,
    identities: Int[ndarray, " pictures"],
    names: Sequence[str],
    framing: Framing = CENTRED,
) -> TrainingFaces:
    """Pictures that all have the face in the same place."""
    count = len(pictures)
    side = pictures.side if isinstance(pictures, PictureFiles) else pictures.shape[1]
    regions = np.tile(enlarged(np.array([framing.box])) * side, (count, 1)).astype(np.float32)
    points = np.tile(np.array(framing.landmarks, np.float32) * side - 0.5, (count, 1, 1))
    return TrainingFaces(pictures, identities, tuple(names), regions, points)


def read_people(
    root: Path, people: Sequence[str], side: int, *, least: int = 1, lazy: bool = False
) -> TrainingFaces:
    """All pictures of these people, `<root>/<person>/<picture>`.

    Args:
        root: the folder of the data set.
        people: names of folders; those that are missing count as people without pictures.
        side: to which pictures, cut square about their middle, are resized.
        least: people with fewer pictures are left out.
        lazy: leave the pictures in their files.

    Raises:
        DataError: naming every picture that cannot be read, or when nobody is left.
    """
    files = {name: sorted(_pictures(root / name)) for name in people if (root / name).is_dir()}
    kept = {name: found for name, found in files.items() if len(found) >= max(1, least)}
    if not kept:
        raise DataError(
            f"{root}: none of {len(people)} people has {least} pictures; expected a folder for "
            "each person with .jpg or .png files in it"
        )
    identities = np.repeat(np.arange(len(kept)), [len(found) for found in kept.values()])
    everything = tuple(file for found in kept.values() for file in found)
    if lazy:
        return framed(PictureFiles(everything, side), identities, list(kept))
    pictures, faults = [], []
    with progress(len(everything), "reading faces", "picture") as bar:
        for file in everything:
            try:
                pictures.append(_read(file, side))
            except DataError as error:
                faults.append(str(error))
            bar.update(1)
    if faults:
        raise DataError(f"{root}: {len(faults)} pictures are broken:", faults)
    return framed(np.stack(pictures), identities, list(kept))


def _pictures(person: Path) -> Iterator[Path]:
    files = (file for file in person.iterdir() if file.suffix.lower() in _PICTURES)
    return (file for file in files if not file.is_dir())


def _read(file: Path, side: int) -> npt.NDArray[np.uint8]:
    picture = read_picture(file)
    height, width = picture.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = picture[top : top + short, left : left + short]
    shrinks = cv2.INTER_AREA if short > side else cv2.INTER_LINEAR
    return cv2.resize(square, (side, side), interpolation=shrinks).astype(np.uint8)


def draw_people(first: int, people: int, takes: int, side: int) -> TrainingFaces:
    """Generated people (`unseen.data.duet_faces`), from number `first` on, `takes` of each."""
    pictures = [
        face_picture(who, take, size=side)
        for who in range(first, first + people)
        for take in range(takes)
    ]
    faces = np.stack([picture.face for picture in pictures])
    return TrainingFaces(
        np.stack([picture.image for picture in pictures]),
        np.repeat(np.arange(people), takes),
        tuple(f"person-{who}" for who in range(first, first + people)),
        enlarged(faces),
        np.stack([picture.landmarks for picture in pictures]),
    )


def read_folds(file: Path) -> list[list[str]]:
    """The people of each fold of a list as LFW's `people.txt`.

    Raises:
        DataError: naming every fault of the list.
    """
    if not file.is_file():
        raise DataError(f"{file} cannot be read: there is no such file")
    faults: list[str] = []
    folds = people_in_folds(file, faults)
    if faults:
        raise DataError(f"{file} is no list of people as LFW's people.txt:", faults)
    return [list(people) for people in folds]


def people_folder(root: Path) -> Path:
    """Where the people's folders are: `root`, or the one in it that LFW and CASIA-WebFace have.

    Raises:
        DataError: there is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; name the folder of the faces with --root")
    return next((root / name for name in (FOLDER, *FOLDERS) if (root / name).is_dir()), root)


def people_of(folder: Path) -> list[str]:
    """All people with a folder of pictures in `folder`, sorted; hidden folders are passed over."""
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and next(_pictures(entry), None)
    )


def face_crops(
    images: TrainingFaces,
    chosen: Int[ndarray, " faces"],
    size: int,
    rng: np.random.Generator | None = None,
) -> tuple[UInt8[ndarray, "faces size size 3"], Float[ndarray, "faces 5 2"]]:
    """Face regions at `size` x `size` pixels, and the landmarks in them.

    Args:
        images: where from.
        chosen: which pictures.
        size: of the crops.
        rng: when given, regions are moved and scaled at random, as detectors err, and half of the
            faces mirrored.
    """
    crops = np.empty((len(chosen), size, size, 3), np.uint8)
    points = np.empty((len(chosen), 5, 2), np.float32)
    for i, k in enumerate(chosen):
        x0, y0, x1, y1 = (float(v) for v in images.regions[k])
        mirrored = False
        if rng is not None:
            scale = np.exp(rng.uniform(-0.15, 0.15, 2))
            shift = rng.uniform(-0.06, 0.06, 2)
            half = np.array([x1 - x0, y1 - y0]) * scale / 2
            centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + shift * 2 * half
            (x0, y0), (x1, y1) = centre - half, centre + half
            mirrored = bool(rng.random() < 0.5)
        # Pixel edges of the crop onto edges of the region; OpenCV's points are pixel centres.
        sx, sy = size / (x1 - x0), size / (y1 - y0)
        matrix = np.array([[sx, 0, (0.5 - x0) * sx - 0.5], [0, sy, (0.5 - y0) * sy - 0.5]])
        if mirrored:
            matrix[0] = -matrix[0]
            matrix[0, 2] += size - 1
        crops[i] = cv2.warpAffine(
            images.pictures[k], matrix, (size, size),
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        moved = images.landmarks[k] @ matrix[:, :2].T + matrix[:, 2]
        points[i] = moved[[1, 0, 2, 4, 3]] if mirrored else moved
    return crops, points
