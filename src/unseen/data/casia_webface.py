"""CASIA-WebFace (Yi 2014): 494,414 images of 10,575 people (Ren18 4 and 5.1: trains D).

Official layout: a folder for each person, called by a number of seven digits, in the folder itself
or in `CASIA-WebFace`, and in it `<3 digits>.jpg`. Any folder of folders of images, one for each
person, is read the same way. The face box is where LFW, which is framed alike, has it.
"""

from pathlib import Path

from unseen.data.face_images import CENTRED, FACES, FaceImages, face_images
from unseen.data.official import IMAGE_SUFFIXES, OFFICIAL, Inventory, Item, expect, refuse_faults
from unseen.registry import Spec

OFFICIAL_COUNTS = {"images": 494414, "people": 10575}
FOLDER = "CASIA-WebFace"


@OFFICIAL.register("casia-webface")
def _read(root: Path, spec: Spec) -> Inventory:
    spec.no_option()
    return read_folders(root, "casia-webface", OFFICIAL_COUNTS)


@FACES.register("casia-webface")
def _faces(root: Path, spec: Spec) -> FaceImages:
    spec.no_option()
    return load_folders(root, "casia-webface")


def read_folders(root: Path, name: str, official: dict[str, int]) -> Inventory:
    """What a folder with a folder of images for each person holds; the label is `identity`.

    Args:
        root: the folder.
        name: of the data set.
        official: its published numbers of `images` and `people`.

    Raises:
        DataError: there is no such folder.
    """
    faults: list[str] = []
    images = _images(root, name, faults)
    return Inventory(
        name=name,
        root=root,
        kind="image",
        items=tuple(Item(path, None, {"identity": person}) for path, person in images),
        files=frozenset(path for path, _ in images),
        counts={"images": len(images), "people": len({person for _, person in images})},
        official=official,
        faults=tuple(faults),
    )


def load_folders(root: Path, name: str) -> FaceImages:
    """A folder with a folder of images for each person, as face images.

    Raises:
        DataError: no folder, or folders without an image.
    """
    faults: list[str] = []
    images = _images(root, name, faults)
    refuse_faults(name, root, faults)
    return face_images(name, root, images, face=CENTRED.box)


def _images(root: Path, name: str, faults: list[str]) -> list[tuple[str, str]]:
    expect(name, root, {})
    folder = root / FOLDER if (root / FOLDER).is_dir() else root
    people = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    found: list[tuple[str, str]] = []
    for person in people:
        images = sorted(
            p for p in person.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.is_dir()
        )
        if not images:
            faults.append(f"'{person.relative_to(root).as_posix()}' holds no image")
        found += [(image.relative_to(root).as_posix(), person.name) for image in images]
    if not people:
        faults.append(f"'{folder}' holds no folder, one for each person")
    return found
