import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from face_clips import moving
from face_trees import lfw
from unseen.anonymizers.base import Anonymizer, Step
from unseen.anonymizers.load import load_anonymizer
from unseen.cli import main
from unseen.data.lfw import load_lfw
from unseen.data.video import read_frames, write_video
from unseen.deploy.apply import anonymize_video
from unseen.errors import ConfigError, DataError
from unseen.faces.find import find_faces
from unseen.report.face_figures import (
    PUBLISHED_ERROR,
    PUBLISHED_MAP,
    detection_against_verification,
    verification_bars,
    write_face_figures,
)
from unseen.report.face_galleries import SIDE, write_galleries, write_video_galleries
from unseen.types import Boxes, Clips


def verification(accuracy: float) -> dict[str, Any]:
    return {"accuracy": accuracy, "standard_error": 0.01, "folds": [accuracy, accuracy],
            "thresholds": [0.1, 0.2], "auc": accuracy, "eer": 1 - accuracy, "pairs": 40,
            "matched": 20}  # fmt: skip


def result(name: str, modified: float) -> dict[str, Any]:
    return {
        "schema": "unseen/faces/1",
        "name": name,
        "anonymizer": {"spec": name, "random": False, "parameters": 0, "working_size": None},
        "data": {"name": "lfw", "hash": "0", "people": 4, "images": 40, "folds": [7, 8],
                 "train_folds": [1], "train_images": 9, "pairs": "drawn"},
        "resolution": 64,
        "recognisers": [
            {"name": recogniser, "trained_on": None, "raw": verification(0.9),
             "resized": verification(0.85), "modified": verification(modified - less),
             "modified_one_side": verification(0.55), "adapted": None}
            for recogniser, less in (("fisher", 0.0), ("dlib", 0.1))
        ],
        "identification": None,
        "commit": None, "seed": 0, "device": "cpu", "machine": "m", "date": "d", "seconds": 1.0,
        "configuration": {},
    }  # fmt: skip


def detected(name: str, mean: float, own: float | None = None) -> dict[str, Any]:
    def detection(value: float) -> dict[str, Any]:
        return {
            "model": "small",
            "mean": value,
            "interval": [value - 0.02, value + 0.02],
            "per_class": {"Drinking": value},
            "iou": 0.5,
            "frames": 10,
            "boxes": 12,
        }

    return {
        "schema": "unseen/actions/1",
        "name": name,
        "anonymizer": {"spec": name, "random": False, "parameters": 0, "working_size": None},
        "data": {"name": "daly", "hash": "1", "classes": ["Drinking"], "train_frames": 9,
                 "test_frames": 10, "test_faces": 8},
        "fresh": detection(mean) | {"steps": 5},
        "own": None if own is None else detection(own),
        "commit": None, "seed": 0, "device": "cpu", "machine": "m", "date": "d", "seconds": 1.0,
        "configuration": {},
    }  # fmt: skip


def write(folder: Path, *results: dict[str, Any]) -> list[Path]:
    paths = []
    for each in results:
        kind = each["schema"].split("/")[1]
        paths.append(folder / f"{each['name']}.{kind}.json")
        paths[-1].write_text(json.dumps(each))
    return paths


def test_published_figures_are_those_of_table_1() -> None:
    assert len(PUBLISHED_MAP) == 11
    assert PUBLISHED_MAP["Ours"] == 0.5232
    assert pytest.approx({"Un-anonymized": 0.0525, "Ours": 0.3305}) == PUBLISHED_ERROR


def test_figures_say_what_is_in_the_files(tmp_path: Path) -> None:
    verifications = [result("blur-8", 0.7), result("M", 0.6)]
    detections = [detected("M", 0.5, own=0.48), detected("blur-8", 0.42)]
    written = write_face_figures(write(tmp_path, *verifications, *detections), tmp_path / "out")
    assert [path.name for path in written] == ["verification.svg", "detection.svg"]
    for path in written:
        assert path.read_text().startswith("<?xml")
    named = {each["name"]: each for each in detections}
    drawn = detection_against_verification(verifications, named)
    assert "blur-8: mAP 42.0% at error 30.0%; M: mAP 50.0% at error 40.0%" in drawn.alt
    assert "M, its A: mAP 48.0% at error 40.0%" in drawn.alt
    assert "Ours: mAP 52.3% at error 33.1%" in drawn.alt
    assert "Masked: mAP 38.9%" in drawn.alt
    by_dlib = detection_against_verification(verifications, named, "dlib")
    assert "M: mAP 50.0% at error 50.0%" in by_dlib.alt
    bars = verification_bars(verifications)
    assert "M: raw 90.0%, merely resized 85.0%, modified 60.0%, modified and raw 55.0%" in bars.alt
    assert "adapted" not in bars.alt


def test_points_lie_where_their_figures_are() -> None:
    """Two anonymizers of one error stand above each other, and the better one higher."""
    drawn = detection_against_verification(
        [result("a", 0.6), result("b", 0.6)],
        {"a": detected("a", 0.4), "b": detected("b", 0.5)},
    )
    places = re.findall(r'<use xlink:href="[^"]+" x="([\d.]+)" y="([\d.]+)" style="fill: #1d4ed8',
                        drawn.wide)  # fmt: skip
    (ax, ay), (bx, by) = ((float(x), float(y)) for x, y in places)
    assert ax == pytest.approx(bx)
    assert by < ay  # up is less in SVG


def test_without_detection_there_is_one_figure(tmp_path: Path) -> None:
    files = write(tmp_path, result("blur-8", 0.7))
    assert [p.name for p in write_face_figures(files, tmp_path)] == ["verification.svg"]


def test_detection_that_cannot_be_drawn(tmp_path: Path) -> None:
    other = detected("raw", 0.6)
    other["data"]["hash"] = "2"
    files = write(tmp_path, result("M", 0.7), detected("M", 0.5), other)
    (tmp_path / "more").mkdir()
    again = write(tmp_path / "more", result("M", 0.7))
    with pytest.raises(DataError) as caught:
        write_face_figures([*files, *again], tmp_path / "out")
    assert [fault.split(": ")[-1] for fault in caught.value.faults] == [
        "a second result of this kind for 'M'",
        "'raw' has no result of `unseen verify-faces`, whose error Fig. 4 needs",
        "actions were detected in different frames, or by detectors that learned otherwise, which "
        "do not compare",
    ]
    longer = detected("raw", 0.6)
    longer["fresh"]["steps"] = 6
    files = write(tmp_path, result("M", 0.7), detected("M", 0.5), result("raw", 0.9), longer)
    with pytest.raises(DataError, match="by detectors that learned otherwise"):
        write_face_figures(files, tmp_path / "out")


@pytest.mark.parametrize(
    ("key", "value"),
    [("hash", "2"), ("folds", [5, 6]), ("train_folds", [2]), ("pairs", "official"), ("images", 9)],
)
def test_results_on_other_faces_do_not_compare(key: str, value: object, tmp_path: Path) -> None:
    other = result("blur-8", 0.7)
    other["data"][key] = value
    with pytest.raises(DataError) as caught:
        write_face_figures(write(tmp_path, result("M", 0.7), other), tmp_path / "out")
    assert caught.value.faults == (
        "different faces, pairs or folds were measured, which do not compare: 'M', 'blur-8'",
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["seed", "pairs_per_fold", "draw_folds"])
def test_results_on_other_drawn_pairs_do_not_compare(key: str, tmp_path: Path) -> None:
    """A seed draws people into folds, and pairs: as many of other people have the same counts."""
    one, other = result("M", 0.7), result("blur-8", 0.7)
    (other if key == "seed" else other["configuration"])[key] = 5
    files = write(tmp_path, one, other)
    with pytest.raises(DataError, match="different faces, pairs or folds"):
        write_face_figures(files, tmp_path / "out")
    for each in (one, other):
        each["data"]["pairs"] = "official"
    assert write_face_figures(write(tmp_path, one, other), tmp_path / "out")


def test_results_by_other_recognisers_do_not_compare(tmp_path: Path) -> None:
    other = result("blur-8", 0.7)
    other["recognisers"].reverse()
    files = write(tmp_path, result("M", 0.7), other)
    with pytest.raises(DataError) as caught:
        write_face_figures(files, tmp_path / "out")
    assert caught.value.faults == (
        "recognisers differ, and do not compare: 'M' by fisher, 'blur-8' by dlib; name one "
        "(--recogniser)",
    )
    assert write_face_figures(files, tmp_path / "out", recogniser="dlib")


def test_all_results_that_cannot_be_drawn_are_named(tmp_path: Path) -> None:
    files = write(tmp_path, result("blur-8", 0.7))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DataError) as caught:
        write_face_figures([tmp_path / "no.json", *files, tmp_path / "other.json"],
                           tmp_path / "out", recogniser="dlip")  # fmt: skip
    assert len(caught.value.faults) == 3
    assert "'blur-8' was not measured by 'dlip' (did you mean 'dlib'?)" in caught.value.faults[1]
    assert not (tmp_path / "out").exists()


def test_galleries_show_raw_and_modified_faces(tmp_path: Path) -> None:
    faces = load_lfw(lfw(tmp_path))
    anonymizers = {name: load_anonymizer(name) for name in ("mask-face", "blur:4")}
    first, masked, _ = write_galleries(anonymizers, faces, tmp_path / "out", folds=[2], people=3)
    with Image.open(first) as image:
        page = np.asarray(image)
    cell = SIDE + 4
    assert page.shape == (18 + 3 * cell + 4, 4 + 3 * cell, 3)
    middle = [page[18 + SIDE // 2, 4 + column * cell + SIDE // 2] for column in range(3)]
    assert middle[0].any()
    assert not middle[1].any()  # masked
    with Image.open(masked) as image:
        pages = np.asarray(image)
    assert pages.shape[1] == 4 + 4 * cell  # four pictures of each person
    for column in range(4):
        assert not pages[18 + SIDE // 2, 4 + column * cell + SIDE // 2].any()
    again = write_galleries(anonymizers, faces, tmp_path / "again", folds=[2], people=3)
    assert again[0].read_bytes() == first.read_bytes()


def test_a_gallery_of_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, _ = moving([(20 + 4 * t, 40) for t in range(20)])
    video = tmp_path / "v.mp4"
    write_video(video, images, Fraction(10), "lossless")
    out = tmp_path / "out"
    words = ["mask-face", "raw", "--video", str(video), "-o", str(out)]
    assert main(["face-gallery", *words]) == 0
    assert capsys.readouterr().out.count("which shows real people") == 2
    cell = SIDE + 4
    pages = {}
    for name in ("mask-face", "raw"):
        with Image.open(out / f"same-video-{name}.png") as image:
            pages[name] = np.asarray(image)
        assert pages[name].shape == (18 + cell + 4, 4 + 6 * cell, 3)
    for column in range(6):
        at = slice(18, 18 + SIDE), slice(4 + column * cell, 4 + column * cell + SIDE)
        black, face = pages["mask-face"][at], pages["raw"][at]
        assert not black[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4].any()
        # The same face in the middle of each picture, though it moves through the frame.
        first = pages["raw"][18 : 18 + SIDE, 4 : 4 + SIDE]
        assert np.corrcoef(face.mean(-1).ravel(), first.mean(-1).ravel())[0, 1] > 0.7
        assert face.std() > 30
    write_video(video, images[:2], Fraction(10), "lossless")
    with pytest.raises(DataError, match="no face is detected in 6 frames"):
        write_video_galleries({"raw": load_anonymizer("raw")}, video, out)
    assert main(["face-gallery", "nope", "--video", str(tmp_path / "no.mp4"), "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert "nope" in error
    assert "no.mp4" in error


class Ageing(Anonymizer):
    """Draws a colour for each face, which gets darker with every frame."""

    name = "ageing"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        colour = torch.rand(1, 3, 1, 1, 1) if state is None else state
        return Step(colour.expand_as(clips), 0.95 * colour)


def test_a_gallery_of_a_video_shows_what_anonymize_makes(tmp_path: Path) -> None:
    images, faces = moving([(20 + 4 * t, 40) for t in range(20)])
    video, anonymized = tmp_path / "v.mp4", tmp_path / "anonymized.mp4"
    write_video(video, images, Fraction(10), "lossless")
    torch.manual_seed(0)
    anonymize_video(video, anonymized, Ageing(), region="faces", codec="lossless")
    made = [frame.image for frame in read_frames(anonymized)]
    (page,) = write_video_galleries({"ageing": Ageing()}, video, tmp_path / "out")
    with Image.open(page) as image:
        row = np.asarray(image)[18 + SIDE // 2, 4 + SIDE // 2 :: SIDE + 4]
    tracked = find_faces(video).tracks[0].frames
    shown = [tracked[i] for i in np.linspace(0, len(tracked) - 1, 6).astype(int)]
    middles = [((face[1] + face[3]) / 2, (face[0] + face[2]) / 2) for face in faces]
    expected = [made[n][round(middles[n][0]), round(middles[n][1])] for n in shown]
    np.testing.assert_array_equal(row, expected)
    assert len({tuple(colour) for colour in expected}) == 6


def test_all_faults_of_a_gallery_are_told_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "file"
    out.write_text("")
    words = ["blurr:8", "mask-body", "--video", str(tmp_path / "no.mp4"), "--root", ".",
             "--folds", "3-1", "--people", "0", "-o", str(out)]  # fmt: skip
    assert main(["face-gallery", *words]) == 2
    error = capsys.readouterr().err
    for part in ("mean 'blur'", "'mask-body' needs body boxes", "--people 0: at least 1",
                 f"{out} is no folder", "--root, --folds and --video", "'3-1' names no folds",
                 "no.mp4"):  # fmt: skip
        assert error.count(part) == 1, part


def test_galleries_that_cannot_be_shown(tmp_path: Path) -> None:
    faces = load_lfw(lfw(tmp_path))
    with pytest.raises(DataError, match="6 people of lfw have several images, not 7"):
        write_galleries({"raw": load_anonymizer("raw")}, faces, tmp_path, folds=[1], people=7)
    with pytest.raises(ConfigError, match="show at least one"):
        write_galleries({}, faces, tmp_path)
