"""VISPR (Orekondy 2017): 22,167 images with 68 yes/no privacy attributes (Wu18 4.2, Wang19 4.2).

Official layout: `images/<part>/<id>.jpg`, `annotations/<part>/<id>.json` with the parts
`train2017`, `val2017` and `test2017`, and lists `<part>.txt` of their annotations, one path a
line. An annotation is `{"image_path": "images/<part>/<id>.jpg", "labels": ["a4_gender", ...]}`.
Without a list the annotations of its folder are taken; the folders of images may also stand in
the root itself.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from unseen.data.clips import SPLITS
from unseen.data.official import (
    OFFICIAL,
    Inventory,
    Item,
    expect,
    read_lines,
    split_counts,
)
from unseen.files import read_json
from unseen.registry import Registry, Spec, nearest

_NAMES = """
a0_safe a1_age_approx a2_weight_approx a3_height_approx a4_gender a5_eye_color a6_hair_color
a7_fingerprint a8_signature a9_face_complete a10_face_partial a11_tattoo a12_semi_nudity
a13_full_nudity a16_race a17_color a18_ethnic_clothing a19_name_full a20_name_first a21_name_last
a23_birth_city a24_birth_date a25_nationality a26_handwriting a27_marital_status a29_ausweis
a30_credit_card a31_passport a32_drivers_license a33_student_id a35_mail a37_receipt a38_ticket
a39_disability_physical a41_injury a43_medicine a46_occupation a48_occassion_work a49_phone
a55_religion a56_sexual_orientation a57_culture a58_hobbies a59_sports a60_occassion_personal
a61_opinion_general a62_opinion_political a70_education_history a99_legal_involvement
a64_rel_personal a65_rel_social a66_rel_professional a67_rel_competitors a68_rel_spectators
a69_rel_views a73_landmark a74_address_current_complete a75_address_current_partial
a78_address_home_complete a79_address_home_partial a82_date_time a85_username a90_email
a92_email_content a97_online_conversation a102_vehicle_ownership a103_license_plate_complete
a104_license_plate_partial
"""
ATTRIBUTES = tuple(_NAMES.split())

# Per subset its label columns, each with the attributes of which any makes it 1.
SUBSETS: Registry[Mapping[str, tuple[str, ...]]] = Registry("attribute subset of VISPR")


def _as_published(*numbers: str) -> dict[str, tuple[str, ...]]:
    return {name: (name,) for name in ATTRIBUTES if name.split("_")[0] in numbers}


SUBSETS.add("68", {name: (name,) for name in ATTRIBUTES})
# Wu18 4.2: those that occur most in UCF101.
SUBSETS.add(
    "17",
    _as_published(
        *("a0", "a1", "a2", "a3", "a4", "a5", "a6", "a9", "a10", "a12", "a16", "a17"),
        *("a46", "a58", "a59", "a64", "a65"),
    ),
)
# Wu18 4.2 and Wang19 4.2.1: those of them that matter in a smart home.
SUBSETS.add("7", _as_published("a0", "a12", "a46", "a58", "a59", "a64", "a65"))
# Wang19 5.5: what PA-HMDB51 annotates, in the order of its Table 1.
SUBSETS.add(
    "5",
    {
        "skin_color": ("a17_color",),
        "face": ("a9_face_complete", "a10_face_partial"),
        "gender": ("a4_gender",),
        "nudity": ("a12_semi_nudity",),
        "relationship": ("a64_rel_personal", "a65_rel_social"),
    },
)
# "VISPR-1" of later papers; the 1 is no number of attributes.
SUBSETS.add("1", _as_published("a4", "a9", "a10", "a12", "a17", "a64", "a65"))

OFFICIAL_COUNTS = {"images": 22167, "attributes": 68, "train": 10000, "val": 4167, "test": 8000}


@OFFICIAL.register("vispr")
def _read(root: Path, spec: Spec) -> Inventory:
    return read_vispr(root, attributes=spec.option or "68")


def read_vispr(root: Path, *, attributes: str = "68") -> Inventory:
    """What a folder with VISPR holds; each column of the subset is a label of `0` or `1`.

    Args:
        root: the folder.
        attributes: the subset by its name in `SUBSETS`, as in VISPR-17: `68`, `17`, `7`, `5`, `1`.

    Raises:
        UnknownNameError: no such subset.
        DataError: there are no annotations.
    """
    columns = SUBSETS[attributes]
    expect("VISPR", root, {"annotations": "a folder of JSON files for each of train2017, ..."})
    images = "images/" if (root / "images").is_dir() else ""
    files = frozenset(
        path.relative_to(root).as_posix()
        for part in SPLITS
        for path in (root / f"{images}{part}2017").glob("*.jpg")
    )
    items: list[Item] = []
    unlabelled: set[str] = set()
    found: set[str] = set()
    faults: list[str] = []
    for part in SPLITS:
        for where, path in _annotations(root, f"{part}2017", faults):
            labels = _labels(root, path, where, faults)
            image = f"{images}{path.parent.name}/{path.stem}.jpg"
            if labels is None:
                unlabelled.add(image)
                continue
            found |= labels
            values = {name: str(int(bool(labels & {*any_of}))) for name, any_of in columns.items()}
            items.append(Item(image, part, values, group=path.stem))
    counts: dict[str, int] = {
        "images": len(files),
        "attributes": len(found),
        **split_counts(items, *SPLITS),
    }
    return Inventory(
        name=f"vispr:{attributes}",
        root=root,
        kind="image",
        items=tuple(items),
        files=files,
        counts=counts,
        official=OFFICIAL_COUNTS,
        unused=frozenset(unlabelled),
        absent={"attributes": [name for name in ATTRIBUTES if name not in found]},
        faults=tuple(faults),
    )


def _annotations(root: Path, part: str, faults: list[str]) -> list[tuple[str, PurePosixPath]]:
    """Where each annotation of a part is named, and its path."""
    listing = root / f"{part}.txt"
    if not listing.exists():
        folder = root / "annotations" / part
        paths = [PurePosixPath(path.relative_to(root).as_posix()) for path in folder.glob("*.json")]
        return [(f"'{path}'", path) for path in sorted(paths)]
    found: list[tuple[str, PurePosixPath]] = []
    seen: dict[str, int] = {}
    for line, text in read_lines(listing, faults):
        where = f"{listing.name}, line {line}"
        path = PurePosixPath(text)
        if path.parts[:-1] != ("annotations", part) or path.suffix != ".json":
            faults.append(f"{where}: '{text}' is not of the form 'annotations/{part}/<id>.json'")
        elif str(path) in seen:
            faults.append(f"{where} repeats line {seen[str(path)]}: '{text}'")
        else:
            seen[str(path)] = line
            found.append((where, path))
    return found


def _labels(root: Path, path: PurePosixPath, where: str, faults: list[str]) -> set[str] | None:
    """The attributes of an annotation; None if it cannot be told which they are."""
    try:
        annotation = read_json(root / path)
    except FileNotFoundError:
        faults.append(f"{where}: there is no '{path}'")
        return None
    except (OSError, ValueError) as error:
        faults.append(f"'{path}' is not JSON: {error}")
        return None
    image, labels = (
        (annotation.get("image_path"), annotation.get("labels"))
        if isinstance(annotation, dict)
        else (None, None)
    )
    if not (
        isinstance(image, str)
        and isinstance(labels, list)
        and all(isinstance(label, str) for label in labels)
    ):
        faults.append(f"'{path}' has no text 'image_path' or no list of texts 'labels'")
        return None
    if PurePosixPath(image).parts[-2:] != (path.parent.name, f"{path.stem}.jpg"):
        faults.append(f"'{path}' is the annotation of another image, '{image}'")
    for label in sorted(set(labels) - set(ATTRIBUTES)):
        faults.append(f"'{path}': '{label}' is no attribute of VISPR{nearest(label, ATTRIBUTES)}")
    if len(set(labels)) < len(labels):
        faults.append(f"'{path}' repeats an attribute")
    if not labels:
        faults.append(f"'{path}' has no attribute; an image without any other has 'a0_safe'")
    return set(labels) & set(ATTRIBUTES)
