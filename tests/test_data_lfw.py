from pathlib import Path

import pytest

from face_trees import face, lfw, write_image
from unseen.data.lfw import load_lfw, read_lfw
from unseen.data.official import check, read_official
from unseen.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lfw(tmp_path)


@pytest.mark.parametrize("folder", ["", "lfw", "lfw-deepfunneled"])
def test_a_tree_in_the_official_layout(root: Path, folder: str) -> None:
    if folder:
        for person in sorted(root.glob("Person_*")):
            (root / folder).mkdir(exist_ok=True)
            person.rename(root / folder / person.name)
    inventory = read_official("lfw", root)
    report = check(inventory, decode=True)
    assert not report.faults
    assert not report.unlisted
    found = {key: number for key, (number, _) in report.counts.items()}
    assert found == {"images": 48, "people": 12, "folds": 2, "pairs": 20}
    assert [official for _, official in report.counts.values()] == [13233, 5749, 10, 6000]
    assert inventory.items[0].labels == {"identity": "Person_A_0"}
    assert inventory.items[0].split is None
    faces = load_lfw(root)
    assert faces.pairs is not None
    assert len(faces.pairs) == faces.listed_pairs * 2 == 20
    assert faces.pairs.same.tolist() == ([True] * 5 + [False] * 5) * 2
    assert faces.pairs.fold.tolist() == [1] * 10 + [2] * 10
    assert faces.paths[faces.pairs.first[5]].endswith("Person_A_0/Person_A_0_0001.jpg")
    assert faces.paths[faces.pairs.second[5]].endswith("Person_A_1/Person_A_1_0002.jpg")
    assert faces.folds == (1, 2)


def test_older_copies_call_the_list_of_people_otherwise(root: Path) -> None:
    (root / "people.txt").rename(root / "LFW_people.txt")
    assert load_lfw(root).folds == (1, 2)
    (root / "LFW_people.txt").unlink()
    # Then only people in pairs have a fold.
    faces = load_lfw(root)
    unpaired = {faces.people[i] for i in faces.identity[faces.fold == 0]}
    assert unpaired == set()
    assert faces.folds == (1, 2)


def test_a_part_of_the_people_and_images_is_counted_and_no_fault(root: Path) -> None:
    for image in (root / "Person_A_0").iterdir():
        image.unlink()
    (root / "Person_A_0").rmdir()
    (root / "Person_B_3" / "Person_B_3_0004.jpg").unlink()
    (root / "Person_B_3" / "Person_B_3_0001.jpg").unlink()
    report = check(read_lfw(root))
    assert not report.faults
    assert report.differences[:2] == (
        "images: 42, officially 13233; there is no Person_B_3_0001, Person_B_3_0004",
        "people: 11, officially 5749; there is no Person_A_0",
    )
    # Person_A_0: pairs 1 and 6 of fold 1; Person_B_3's first image: 4 and 9 of fold 2.
    assert report.counts["pairs"] == (20 - 2 - 2, 6000)
    faces = load_lfw(root)
    assert faces.pairs is not None
    assert len(faces.pairs) == 16
    assert faces.listed_pairs == 10


def test_many_absent_people_are_not_all_named(root: Path) -> None:
    text = (root / "people.txt").read_text()
    assert text.startswith("2\n6\n")
    more = "".join(f"Absent_{n:02d}\t1\n" for n in range(9))
    (root / "people.txt").write_text(text.replace("2\n6\n", f"2\n15\n{more}", 1))
    assert (
        "people: 12, officially 5749; there is no Absent_00, Absent_01, Absent_02, Absent_03, "
        "Absent_04, and 4 more" in check(read_lfw(root)).differences
    )


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_all_faults_in_one_report(root: Path) -> None:
    pairs, people = root / "pairs.txt", root / "people.txt"
    edit(pairs, "Person_A_1\t1\t2", "Person_A_1\t1\t9")  # he has four
    edit(pairs, "Person_A_2\t1\t2", "Person_A_2\t2\t2")  # one image twice
    edit(pairs, "Person_A_3\t1\tPerson_A_4\t2", "Person_A_3\t1\tPerson_A_3\t2")  # one person
    edit(pairs, "Person_B_0\t1\t2", "Person_B_0\t1")
    edit(pairs, "Person_B_1\t1\t2", "Nobody\t1\t2")
    edit(people, "Person_B_5\t4", "Person_A_5\t4")  # twice, and B_5 is unlisted
    write_image(root / "Person_A_0" / "Person_A_1_0009.jpg", face(0, 1))
    write_image(root / "Person_A_0" / "Person_A_0_0009.jpg", face(0, 1))
    with pytest.raises(DataError) as caught:
        load_lfw(root)
    assert caught.value.faults == (
        "'Person_A_0/Person_A_1_0009.jpg' is not called 'Person_A_0_<4 digits>.jpg'",
        "people.txt, line 15 repeats 'Person_A_5'",
        "pairs.txt, line 4: 'Person_A_2\t2\t2' are not two images of one person",
        "pairs.txt, line 10: 'Person_A_3\t1\tPerson_A_3\t2' are not images of two people",
        "pairs.txt, line 12: 'Person_B_0\t1' is not of the form '<Name> <i> <j>'",
        "pairs.txt, line 3: 'Person_A_1' has 4 images, not 9",
        "pairs.txt, line 13: 'Nobody' is in no line of the list of people",
        "pairs.txt, line 21: 'Person_B_5' is in no line of the list of people",
    )
    report = check(read_lfw(root))
    assert set(caught.value.faults) < set(report.faults)
    assert "'Person_A_0/Person_A_0_0009.jpg': 'Person_A_0' has 4 images, numbered from 1" in (
        report.faults
    )
    assert report.unlisted == tuple(
        f"'Person_B_5/Person_B_5_{n:04d}.jpg' is there and in no list" for n in range(1, 5)
    )


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("pairs.txt", "", "pairs.txt does not begin with the numbers of folds and of pairs"),
        ("pairs.txt", "2 5\nA 1 2\n", "pairs.txt has 1 pairs; its first line names 2 folds of 5 "
         "matched and 5 mismatched ones"),
        ("people.txt", "2\n1\nA 4\n", "people.txt ends before its last fold: it names 2 folds and "
         "holds 1, the last whole"),
        ("people.txt", "1\n2\nA 4\n", "people.txt ends before its last fold: it names 1 folds and "
         "holds 1, the last 1 people short"),
        ("people.txt", "1\n1\nA four\n", "people.txt, line 3: 'A four' is not '<Name> <images>'"),
    ],
)  # fmt: skip
def test_broken_lists(root: Path, file: str, text: str, fault: str) -> None:
    (root / file).write_text(text)
    with pytest.raises(DataError) as caught:
        load_lfw(root)
    assert fault in caught.value.faults


def test_a_damaged_image_is_found_when_images_are_read(root: Path) -> None:
    image = root / "Person_A_0" / "Person_A_0_0001.jpg"
    image.write_bytes(image.read_bytes()[:300])
    assert not check(read_lfw(root)).faults
    (fault,) = check(read_lfw(root), decode=True).faults
    assert fault.startswith(f"{image} is damaged")


def test_a_root_of_something_else(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*pairs\.txt"):
        read_lfw(root / "none")
    (root / "other").mkdir()
    with pytest.raises(DataError, match=r"is not LFW in its official layout"):
        read_lfw(root / "other")
    (root / "other" / "pairs.txt").write_text("1 1\nA 1 2\nA 1 B 1\n")
    with pytest.raises(DataError, match=r"holds no image '<Name>/<Name>_0001\.jpg'"):
        load_lfw(root / "other")
