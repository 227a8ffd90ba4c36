"""The figures of annotations: every number is written, nothing is cut off, files are whole."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from unseen.cli import main
from unseen.data.hmdb51 import ACTIONS
from unseen.data.pa_hmdb51 import read_annotations
from unseen.data.statistics import AnnotationStatistics, annotation_statistics
from unseen.report import annotations
from unseen.report.canvas import NARROW, WIDE, Picture, style

FILES = ("action-distribution", "attribute-distribution", "action-attribute-correlation")
FIGURES = (
    annotations.action_distribution,
    annotations.attribute_distribution,
    annotations.action_attribute_correlation,
)


def write_folder(folder: Path, videos: dict[str, int], frames: int = 1234) -> Path:
    """So many videos of each action, alike but for the action's place in the alphabet."""
    folder.mkdir(exist_ok=True)
    for at, (action, count) in enumerate(videos.items()):
        end = frames - 1 + at
        entry = {
            "skin_color": [[0, end, at % 4]],
            "face": [[0, 99, 2], [100, end, 1]],
            "gender": [[0, end, [1, 2]]],
            "nudity": [[3, end, 0]],
            "relationship": [[0, end, at % 2]],
            "review": True,
        }
        content = {f"{action}{take}.avi": entry for take in range(count)}
        (folder / f"{action}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> AnnotationStatistics:
    """All actions, with numbers as wide as those of the published annotations."""
    videos = {action: 5 + at % 3 for at, action in enumerate(ACTIONS)}
    folder = write_folder(tmp_path_factory.mktemp("full"), videos)
    return annotation_statistics(read_annotations(folder))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> AnnotationStatistics:
    folder = write_folder(tmp_path_factory.mktemp("small"), {"kick_ball": 3, "wave": 1})
    return annotation_statistics(read_annotations(folder))


def words(svg: str) -> list[str]:
    """The texts of a figure: letters are outlines, each text in a comment beside them."""
    return [line for text in re.findall(r"<!-- (.*?) -->", svg, re.S) for line in text.split("\n")]


def both(drawn: Picture) -> tuple[str, str]:
    for svg in (drawn.wide, drawn.narrow):
        assert ElementTree.fromstring(svg).tag.endswith("svg")
    return drawn.wide, drawn.narrow


def test_every_action_has_its_bar_and_number(small: AnnotationStatistics) -> None:
    drawn = annotations.action_distribution(small)
    assert drawn.alt == "Videos of each of 2 actions: kick ball 3, wave 1"
    for svg in both(drawn):
        found = words(svg)
        assert "4 videos, 2 actions" in found
        assert {"kick ball", "wave", "3", "1"} <= set(found)
        bars = re.findall(r'<path d="M (\S+) \S+ \nL (\S+) [^>]*fill: #93c5fd', svg)
        lengths = [abs(float(end) - float(start)) for start, end in bars]
        assert len(lengths) == 2
        assert lengths[0] == pytest.approx(3 * lengths[1], rel=1e-3)


def test_every_value_has_its_number_and_share(small: AnnotationStatistics) -> None:
    # Three videos of 1234 frames and one of 1235: 4937.
    drawn = annotations.attribute_distribution(small)
    for svg in both(drawn):
        found = words(svg)
        assert found.count("4,937 (100.0%)") == 2  # male, female
        assert "3,702 (75.0%)" in found  # invisible; relationship cannot be told
        assert "1,235 (25.0%)" in found
        assert "4,537 (91.9%)" in found  # partial face
        assert "400 (8.1%)" in found
        assert "nudity, 4,925 labelled" in found
        assert "0 (0.0%)" in found
    assert "whole face 400 (8.1%)" in drawn.alt


def test_every_cell_has_its_number(small: AnnotationStatistics) -> None:
    drawn = annotations.action_attribute_correlation(small)
    expected = sorted(
        f"{count:,}"
        for each in small.attributes.values()
        for counts in each.by_action.values()
        for count in counts.frames
    )
    assert len(expected) == 2 * 15
    for svg in both(drawn):
        assert sorted(text for text in words(svg) if re.fullmatch("[0-9,]+", text)) == expected
    assert "skin color invisible: kick ball; skin color white: wave;" in drawn.alt


@pytest.mark.parametrize("figure", FIGURES)
def test_the_same_numbers_make_the_same_bytes(
    figure: Callable[[AnnotationStatistics], Picture], small: AnnotationStatistics
) -> None:
    assert figure(small) == figure(small)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("data", ["full", "small"])
@pytest.mark.parametrize("draw", ["_draw_actions", "_draw_attributes", "_draw_correlation"])
def test_no_text_is_cut_off_or_covered(
    draw: str, data: str, width: float, request: pytest.FixtureRequest
) -> None:
    with style():
        figure: Figure = getattr(annotations, draw)(request.getfixturevalue(data), width)
        figure.dpi = 72
        figure.draw_without_rendering()
    texts: list[Any] = figure.findobj(
        lambda each: isinstance(each, Text) and each.get_visible() and bool(each.get_text())
    )
    # Labels of shared axes exist, but are not drawn.
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_in_layout()]
    assert len(boxes) >= 5
    page = figure.bbox
    for text, box in boxes:
        assert box.x0 >= page.x0 - 0.5, text
        assert box.x1 <= page.x1 + 0.5, text
        assert box.y0 >= page.y0 - 0.5, text
        assert box.y1 <= page.y1 + 0.5, text
    # Numbers in cells and at bars do not touch each other.
    numbers = [(text, box) for text, box in boxes if re.fullmatch(r"[0-9,]+( \(.*\))?", text)]
    for at, (text, box) in enumerate(numbers):
        for other, beside in numbers[at + 1 :]:
            clear = (
                box.x1 <= beside.x0 or beside.x1 <= box.x0
                or box.y1 <= beside.y0 + 3 or beside.y1 <= box.y0 + 3
            )  # fmt: skip
            assert clear, (text, other)


def test_files_are_written(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", {"kick_ball": 3, "wave": 1})
    found = annotation_statistics(read_annotations(folder))
    out = tmp_path / "out" / "new"
    annotations.write_statistics(found, out)
    names = {f"{name}{suffix}.svg" for name in FILES for suffix in ("", "-narrow")}
    assert {path.name for path in out.iterdir()} == names | {"statistics.json"}
    content = json.loads((out / "statistics.json").read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(asdict(found)))
    assert content["videos"] == 4
    for name, figure in zip(FILES, FIGURES, strict=True):
        assert (out / f"{name}.svg").read_text(encoding="utf-8") == figure(found).wide
        assert (out / f"{name}-narrow.svg").read_text(encoding="utf-8") == figure(found).narrow


def test_faulty_annotations_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "in", {"kick_ball": 1, "waive": 1})
    words = ["data", "stats", "pa-hmdb51", str(folder), "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert "did you mean 'wave'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
