import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unseen.data.load import count_labels
from unseen.data.official import Item, check, read_official
from unseen.data.vispr import ATTRIBUTES, OFFICIAL_COUNTS, SUBSETS, read_vispr
from unseen.errors import DataError, UnknownNameError

LABELS = {
    "train2017/2017_1": ["a4_gender", "a9_face_complete", "a46_occupation"],
    "train2017/2017_2": ["a0_safe"],
    "val2017/2017_3": ["a10_face_partial", "a65_rel_social", "a17_color"],
    "test2017/2017_4": ["a9_face_complete", "a10_face_partial", "a12_semi_nudity"],
}


def annotate(root: Path, name: str, labels: object, image: object = None) -> None:
    path = root / "annotations" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"image_path": image or f"images/{name}.jpg", "labels": labels}))


def save_image(root: Path, name: str) -> None:
    path = root / "images" / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((24, 16, 3), 99, np.uint8)).save(path)


def append(root: Path, part: str, line: str) -> None:
    with (root / f"{part}.txt").open("a") as file:
        file.write(f"{line}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, labels in LABELS.items():
        save_image(tmp_path, name)
        annotate(tmp_path, name, labels)
        append(tmp_path, name.split("/")[0], f"annotations/{name}.json")
    return tmp_path


def test_the_published_subsets() -> None:
    assert len(set(ATTRIBUTES)) == OFFICIAL_COUNTS["attributes"] == 68
    sizes = {name: len(SUBSETS[name]) for name in SUBSETS}
    assert sizes == {"68": 68, "17": 17, "7": 7, "5": 5, "1": 7}
    for name in SUBSETS:
        assert {a for any_of in SUBSETS[name].values() for a in any_of} <= set(ATTRIBUTES)
    assert set(SUBSETS["7"]) < set(SUBSETS["17"])
    numbers = {
        size: [int(name[1:].partition("_")[0]) for name in SUBSETS[size]] for size in ("17", "1")
    }
    assert numbers == {
        "17": [0, 1, 2, 3, 4, 5, 6, 9, 10, 12, 16, 17, 46, 58, 59, 64, 65],
        "1": [4, 9, 10, 12, 17, 64, 65],
    }
    parts = [OFFICIAL_COUNTS[part] for part in ("train", "val", "test")]
    assert sum(parts) == OFFICIAL_COUNTS["images"]


@pytest.mark.parametrize("lists", [True, False])
def test_a_tree_in_the_official_layout(root: Path, lists: bool) -> None:
    if not lists:
        for part in ("train", "val", "test"):
            (root / f"{part}2017.txt").unlink()
    inventory = read_official("vispr:7", root)
    first = inventory.items[0]
    assert (first.path, first.split) == ("images/train2017/2017_1.jpg", "train")
    assert first.labels == {
        "a0_safe": "0",
        "a12_semi_nudity": "0",
        "a46_occupation": "1",
        "a58_hobbies": "0",
        "a59_sports": "0",
        "a64_rel_personal": "0",
        "a65_rel_social": "0",
    }
    assert [item.split for item in inventory.items] == ["train", "train", "val", "test"]
    report = check(inventory, decode=True)
    assert not report.faults
    assert not report.unlisted
    assert report.counts == {
        "images": (4, 22167),
        "attributes": (8, 68),
        "train": (2, 10000),
        "val": (1, 4167),
        "test": (1, 8000),
    }


def test_an_attribute_is_counted_where_it_is_there(root: Path) -> None:
    told = str(count_labels("vispr:5", root)).splitlines()
    assert told == [
        "               train     val    test",
        "vispr:5            2       1       1",
        "skin_color         0       1       0",
        "face               1       1       1",
        "gender             1       0       0",
        "nudity             0       0       1",
        "relationship       0       1       0",
    ]


def test_merged_attributes_are_there_if_one_of_them_is(root: Path) -> None:
    rows = [
        [item.labels[name] for name in ("skin_color", "face", "gender", "nudity", "relationship")]
        for item in read_vispr(root, attributes="5").items
    ]
    assert ["".join(row) for row in rows] == ["01100", "00000", "11001", "01010"]
    for name, merged in (("a64_rel_personal", "relationship"), ("a65_rel_social", "relationship"),
                         ("a9_face_complete", "face"), ("a10_face_partial", "face")):  # fmt: skip
        annotate(root, "test2017/2017_4", [name])
        labels = read_vispr(root, attributes="5").items[-1].labels
        assert {column for column, value in labels.items() if value == "1"} == {merged}


def test_the_folders_of_images_may_stand_in_the_root(root: Path) -> None:
    for part in ("train2017", "val2017", "test2017"):
        (root / "images" / part).rename(root / part)
    (root / "images").rmdir()
    inventory = read_vispr(root)
    assert inventory.items[0] == Item(
        "train2017/2017_1.jpg",
        "train",
        {name: str(int(name in LABELS["train2017/2017_1"])) for name in ATTRIBUTES},
        group="2017_1",
    )
    assert not check(inventory).faults


def test_an_image_in_two_splits(root: Path) -> None:
    name = "test2017/2017_1"
    save_image(root, name)
    annotate(root, name, LABELS["train2017/2017_1"])
    append(root, "test2017", f"annotations/{name}.json")
    assert check(read_vispr(root)).faults == ("group '2017_1' is in train and in test",)


def test_missing_unlisted_and_truncated_images(root: Path) -> None:
    images = root / "images"
    (images / "train2017/2017_1.jpg").unlink()
    save_image(root, "val2017/2017_9")
    cut = images / "test2017/2017_4.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    report = check(read_vispr(root), decode=True)
    assert report.missing == ("'images/train2017/2017_1.jpg' is listed and not there",)
    assert report.unlisted == ("'images/val2017/2017_9.jpg' is there and in no list",)
    assert len(report.broken) == 1
    assert report.broken[0].startswith(f"{cut} is damaged")
    assert not report.mistakes


def test_an_annotation_in_two_lists(root: Path) -> None:
    append(root, "test2017", "annotations/val2017/2017_3.json")
    (fault,) = check(read_vispr(root)).faults
    assert fault.startswith("test2017.txt, line ")
    assert fault.endswith(
        "'annotations/val2017/2017_3.json' is not of the form 'annotations/test2017/<id>.json'"
    )


@pytest.mark.parametrize(
    ("labels", "image", "fault"),
    [
        (["a0_saf"], None, "'{}': 'a0_saf' is no attribute of VISPR (did you mean 'a0_safe'?)"),
        (["a0_safe", "a0_safe"], None, "'{}' repeats an attribute"),
        ([], None, "'{}' has no attribute; an image without any other has 'a0_safe'"),
        (
            ["a0_safe"],
            "images/val2017/2017_2.jpg",
            "'{}' is the annotation of another image, 'images/val2017/2017_2.jpg'",
        ),
        ("a0_safe", None, "'{}' has no text 'image_path' or no list of texts 'labels'"),
        ([1], None, "'{}' has no text 'image_path' or no list of texts 'labels'"),
        (["a0_safe"], 7, "'{}' has no text 'image_path' or no list of texts 'labels'"),
    ],
)
def test_mistakes_in_an_annotation(root: Path, labels: object, image: object, fault: str) -> None:
    annotate(root, "train2017/2017_2", labels, image)
    report = check(read_vispr(root))
    assert report.faults == (fault.format("annotations/train2017/2017_2.json"),)
    assert not report.unlisted


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{", "' is not JSON: Expecting property name"),
        (b"[" * 100_000, "' is not JSON: it is nested too deeply"),
        (b"\xff", "' is not JSON: 'utf-8' codec can't decode"),
        (b"[]", "' has no text 'image_path' or no list"),
    ],
)
def test_malformed_annotations(root: Path, content: bytes, fault: str) -> None:
    (root / "annotations/val2017/2017_3.json").write_bytes(content)
    report = check(read_vispr(root))
    assert len(report.faults) == 1
    assert report.faults[0].startswith(f"'annotations/val2017/2017_3.json{fault}")
    assert report.counts["val"] == (0, 4167)
    assert not report.unlisted


def test_mistakes_in_the_lists(root: Path) -> None:
    append(root, "train2017", "annotations/train2017/2017_1.json")
    append(root, "train2017", "images/train2017/2017_1.jpg")
    append(root, "train2017", "annotations/train2017/2017_7.json")
    append(root, "train2017", "annotations/test2017/2017_9.json")
    append(root, "train2017", "annotations//train2017/2017_1.json")
    save_image(root, "train2017/2017_7")
    report = check(read_vispr(root))
    assert report.faults == (
        "train2017.txt, line 3 repeats line 1: 'annotations/train2017/2017_1.json'",
        "train2017.txt, line 4: 'images/train2017/2017_1.jpg' is not of the form "
        "'annotations/train2017/<id>.json'",
        "train2017.txt, line 6: 'annotations/test2017/2017_9.json' is not of the form "
        "'annotations/train2017/<id>.json'",
        "train2017.txt, line 7 repeats line 1: 'annotations//train2017/2017_1.json'",
        "train2017.txt, line 5: there is no 'annotations/train2017/2017_7.json'",
    )
    assert not report.unlisted


def test_a_root_of_something_else_and_a_subset_of_nobody(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_vispr(root / "images")
    assert caught.value.faults == (
        f"there is no '{root / 'images/annotations'}': a folder of JSON files for each of "
        "train2017, ...",
    )
    with pytest.raises(UnknownNameError, match="unknown attribute subset of VISPR '8'"):
        read_vispr(root, attributes="8")
