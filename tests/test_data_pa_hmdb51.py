"""PA-HMDB51: labels against a naive loop, and every fault and oddity of a folder."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.data.hmdb51 import ACTIONS
from unseen.data.load import check_data
from unseen.data.pa_hmdb51 import (
    check_annotations,
    read_annotations,
    read_test_list,
)
from unseen.data.pa_hmdb51_labels import (
    ATTRIBUTES,
    VALUES,
    LabelRange,
    VideoAnnotation,
    binary_frames,
    binary_label,
    frame_labels,
)
from unseen.errors import DataError

KISS = "First_kiss_u_cm_np2_le_goo_1.avi"
WAVE = "Second_wave_u_nm_np1_fr_med_0.avi"


def entry(**changes: Any) -> dict[str, Any]:
    """A faultless video of ten frames; a change to None leaves the key out."""
    video: dict[str, Any] = {
        "skin_color": [[0, 9, 1]],
        "face": [[0, 4, 2], [5, 9, 0]],
        "gender": [[0, 9, [1, 2]]],
        "nudity": [[0, 9, 0]],
        "relationship": [[0, 9, 1]],
        "review": True,
        "note": "",
    }
    return {key: value for key, value in (video | changes).items() if value is not None}


def write(folder: Path, **files: Any) -> Path:
    """`PrivacyAttributes/<action>.json` for each file; a text is written as it is."""
    inner = folder / "PrivacyAttributes"
    inner.mkdir()
    for action, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (inner / f"{action}.json").write_text(text, encoding="utf-8")
    return folder


def video(**ranges: list[LabelRange]) -> VideoAnnotation:
    """A video with labels of some attributes."""
    everything = {attribute: tuple(ranges.get(attribute, ())) for attribute in ATTRIBUTES}
    return VideoAnnotation(KISS, "kiss", everything)


def labels(start: int, end: int, *values: int) -> LabelRange:
    return LabelRange(start, end, frozenset(values))


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        wave={WAVE: entry(note=None, review=False)},
        kiss={KISS: entry(), "b.avi": entry(note="dark", gender=[])},
    )
    (folder / "PrivacyAttributes" / "._kiss.json").write_bytes(b"\0")
    found = read_annotations(folder)
    assert [(each.name, each.action) for each in found] == [
        (KISS, "kiss"),
        ("b.avi", "kiss"),
        (WAVE, "wave"),
    ]
    assert found[0].ranges["face"] == (labels(0, 4, 2), labels(5, 9, 0))
    assert found[0].ranges["gender"] == (labels(0, 9, 1, 2),)
    assert found[1].ranges["gender"] == ()
    assert found[0].frames == 10
    assert read_annotations(folder / "PrivacyAttributes") == found


def test_the_values_are_those_of_table_1() -> None:
    sizes = {attribute: len(values) for attribute, values in VALUES.items()}
    assert sizes == {"skin_color": 4, "face": 3, "gender": 3, "nudity": 3, "relationship": 2}
    assert tuple(VALUES) == ATTRIBUTES
    assert VALUES["gender"][2] == "female"
    assert VALUES["face"][1] == "partial face"
    assert len(set(ACTIONS)) == 51
    assert list(ACTIONS) == sorted(ACTIONS)


RANGES = st.lists(
    st.tuples(
        st.integers(0, 12), st.integers(0, 8), st.frozensets(st.integers(0, 3), min_size=1)
    ).map(lambda each: LabelRange(each[0], each[0] + each[1], each[2])),
    max_size=5,
)


@given(RANGES)
def test_frame_labels_are_what_a_naive_loop_finds(ranges: list[LabelRange]) -> None:
    annotated = video(face=[labels(0, 6, 1)], skin_color=ranges)
    expected = []
    for frame in range(annotated.frames):
        values: set[int] = set()
        for each in ranges:
            if each.start <= frame <= each.end:
                values |= each.values
        expected.append(values)
    assert list(frame_labels(annotated, "skin_color")) == expected


def test_the_binary_protocol() -> None:
    assert [binary_label(frozenset(each)) for each in ({0}, {1}, {2}, {1, 2}, {0, 1})] == [
        0, 1, 1, 1, 1,
    ]  # fmt: skip
    assert math.isnan(binary_label(frozenset()))
    annotated = video(
        skin_color=[labels(0, 3, 3)],
        face=[labels(1, 1, 0), labels(2, 3, 0, 2)],
        gender=[labels(0, 1, 1), labels(1, 2, 0)],
        nudity=[labels(0, 3, 0)],
    )
    no = np.nan
    expected = [[1, no, 1, 0, no], [1, 0, 1, 0, no], [1, 1, 0, 0, no], [1, 1, no, 0, no]]
    np.testing.assert_array_equal(binary_frames(annotated), np.array(expected, np.float32))
    assert binary_frames(annotated).dtype == np.float32
    assert binary_frames(video()).shape == (0, 5)


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        jump="{",
        clap="[]",
        swin_baseball={},
        kiss={
            KISS: entry(face=[[0, 9, 3]], nudity=[[5, 2, 0]], skin_color=[[-1, 9, 1], [0, 9]]),
            WAVE: entry(),
            "../x.avi": entry(),
            "twice.avi": entry(),
            "a.avi": entry(hair=[[0, 9, 1]], nudty=[], nudity=None),
            "b.avi": entry(face=2, review=None, note=7),
            "c.avi": entry(gender=[[0, 9, []]], face=[[0, 9, [1, True]], [0, 2.0, 1]]),
            "d.avi": entry(relationship=[[0, 10**9, 1]]),
            "e.avi": [],
        },
        wave=f'{{"twice.avi": {json.dumps(entry())}, "twice.avi": {json.dumps(entry())}}}',
    )
    kiss = "kiss.json: "
    known = "skin_color, face, gender, nudity, relationship, review, note"
    expected = {
        "clap.json: must be an object that maps video names to their attributes",
        "jump.json: is not JSON: Expecting property name enclosed in double quotes: line 1 column "
        "2 (char 1)",
        "swin_baseball.json: HMDB51 has no action 'swin_baseball' (did you mean "
        "'swing_baseball'?); name the file after the action",
        f"{kiss}'{KISS}': face [0, 9, 3]: unknown value 3; there are: 0 no face, 1 partial face, "
        "2 whole face",
        f"{kiss}'{KISS}': nudity [5, 2, 0]: ends before it starts",
        f"{kiss}'{KISS}': skin_color [-1, 9, 1]: frames are counted from 0",
        f"{kiss}'{KISS}': skin_color [0, 9]: must be [start, end, value]",
        f"{kiss}'{WAVE}': its name says 'wave': move it to wave.json",
        f"{kiss}'../x.avi': is not the file name of a video; write it as in 'name.avi'",
        f"{kiss}'a.avi': unknown attribute 'hair'; there are: {known}",
        f"{kiss}'a.avi': unknown attribute 'nudty' (did you mean 'nudity'?); there are: {known}",
        f"{kiss}'a.avi': nudity is missing; an empty list says 'not labelled'",
        f"{kiss}'b.avi': face must be a list of [start, end, value]",
        f"{kiss}'b.avi': review must be there and be true or false",
        f"{kiss}'b.avi': note must be a text",
        f"{kiss}'c.avi': gender [0, 9, []]: has no value; leave the range out where there is no "
        "label",
        f"{kiss}'c.avi': face [0, 9, [1, true]]: unknown value true; there are: 0 no face, "
        "1 partial face, 2 whole face",
        f"{kiss}'c.avi': face [0, 2.0, 1]: start and end must be whole numbers",
        f"{kiss}'d.avi': relationship [0, 1000000000, 1]: no video has 1000000000 frames",
        f"{kiss}'e.avi': must be an object that maps attributes to ranges",
        "wave.json: 'twice.avi' is given twice in one object: keep one",
        "'twice.avi' is in kiss.json and wave.json: keep it in one of them",
    }
    found = check_annotations(folder)
    assert set(found.faults) == expected
    assert len(found.faults) == len(expected)
    with pytest.raises(DataError, match=f"have {len(expected)} faults:") as caught:
        read_annotations(folder)
    assert caught.value.faults == found.faults
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\xff", b"[" * 100_000, b"1" * 5000])
def test_what_is_not_json_is_a_fault(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path, wave={WAVE: entry()})
    (folder / "PrivacyAttributes" / "kiss.json").write_bytes(content)
    (fault,) = check_annotations(folder).faults
    assert fault.startswith("kiss.json: is not JSON: ")


def test_a_folder_without_annotations_is_a_fault(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match=r"no annotations in .*expected PrivacyAttributes/"):
            read_annotations(folder)
    write(tmp_path, kiss={}, wave={})
    (fault,) = check_annotations(tmp_path).faults
    assert "the 2 files in" in fault


def test_gaps_and_overlaps_are_notices(tmp_path: Path) -> None:
    gaps = entry(
        skin_color=[[2, 9, 1]],
        face=[[0, 3, 1], [3, 6, 1], [6, 7, 2], [9, 9, 0]],
        gender=[[2, 9, 1]],
        nudity=[],
    )
    same = entry(gender=[[0, 9, [1, 2]], [3, 4, [2, 1]]])
    folder = write(tmp_path, kiss={KISS: gaps}, wave={WAVE: same})
    found = check_annotations(folder)
    here = f"kiss.json: '{KISS}'"
    assert found.faults == ()
    assert found.notices[:-1] == (
        f"{here}: face of frame 6 is labelled twice and differently; it has all the values: 1, 2",
        f"{here}: frames 0 to 1 unlabelled in skin_color, gender",
        f"{here}: frame 8 unlabelled in face",
        f"{here}: frames 0 to 9 unlabelled in nudity",
    )
    assert found.notices[-1].startswith(
        "2 videos of 2 actions; published were 515 of 51; no videos of: brush_hair, cartwheel, "
    )
    assert "wave" not in found.notices[-1]
    assert frame_labels(read_annotations(folder)[0], "face")[6] == {1, 2}


def test_a_check_is_one_report(tmp_path: Path) -> None:
    folder = write(tmp_path, kiss={KISS: entry(nudity=[[0, 8, 0]])}, wave={WAVE: entry()})
    (tmp_path / "notes.txt").write_text("this is no test list")
    report = check_data("pa-hmdb51", folder)
    assert report.counts == {"videos": (2, 515), "classes": (2, 51)}
    assert report.differences == ("videos: 2, officially 515", "classes: 2, officially 51")
    assert report.faults == ()
    assert report.notices[0] == f"kiss.json: '{KISS}': frame 9 unlabelled in nudity"
    lists = tmp_path / "privacy_split_test_set"
    lists.mkdir()
    (lists / "kiss.txt").write_text(KISS)
    assert "the test list misses 1 of 2 annotated videos" in str(check_data("pa-hmdb51", folder))
    (folder / "PrivacyAttributes" / "wave.json").write_text("{")
    (folder / "PrivacyAttributes" / "kis.json").write_text("{}")
    report = check_data("pa-hmdb51", folder)
    assert report.mistakes == report.faults
    assert len(report.faults) == 2
    (lists / "dive.txt").write_bytes(b"\xff")
    report = check_data("pa-hmdb51", folder)
    assert len(report.faults) == 3
    assert report.faults[-1].startswith(f"cannot read the test list '{lists / 'dive.txt'}'")
    with pytest.raises(DataError, match="there is no folder"):
        check_data("pa-hmdb51", tmp_path / "absent")


def test_the_test_list_is_compared_with_the_annotations(tmp_path: Path) -> None:
    folder = write(tmp_path, kiss={KISS: entry()}, wave={WAVE: entry(), "c.avi": entry()})
    lists = folder / "privacy_split_test_set"
    lists.mkdir()
    (lists / "all.txt").write_text(f"{KISS}\n{WAVE}\nc.avi\n")
    assert not any("test list" in notice for notice in check_data("pa-hmdb51", folder).notices)
    (lists / "all.txt").write_text(f"{WAVE}\nmore\n")
    report = check_data("pa-hmdb51", folder)
    assert not report.faults
    assert [notice for notice in report.notices if "test list" in notice] == [
        f"the test list misses 2 of 3 annotated videos, which are test all the same: {KISS}, c.avi",
        "the test list names 1 without annotations: more",
    ]


def test_the_test_list_has_each_name_once(tmp_path: Path) -> None:
    folder = tmp_path / "privacy_split_test_set"
    folder.mkdir()
    (folder / "climb.txt").write_bytes(b"b.avi\r\na.avi \r\n\r\n")
    (folder / "climb_stairs.txt").write_bytes(b"a.avi\r\nc.avi")
    assert read_test_list(tmp_path) == read_test_list(folder) == ("a.avi", "b.avi", "c.avi")
    with pytest.raises(DataError, match="no test list in"):
        read_test_list(tmp_path / "absent")
    (folder / "dive.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"cannot read the test list .*dive\.txt"):
        read_test_list(tmp_path)
