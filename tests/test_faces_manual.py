"""Boxes and regions that a person gives."""

from pathlib import Path

import numpy as np
import pytest

from unseen.errors import ConfigError, DataError
from unseen.faces.manual import Excluded, ManualBox, read_boxes


def test_boxes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("start,end,x0,y0,x1,y1\n3,7,10,20.5,30,40\n\n,,0,0,5,5\n 9 , , 1,1,2,2\n")
    boxes = read_boxes(path)
    assert boxes == (
        ManualBox((10, 20.5, 30, 40), 3, 7), ManualBox((0, 0, 5, 5)), ManualBox((1, 1, 2, 2), 9),
    )  # fmt: skip
    covered = [[box.covers(frame) for frame in (0, 3, 6, 7, 9, 1000)] for box in boxes]
    assert covered[0] == [False, True, True, False, False, False]
    assert covered[1] == [True] * 6
    assert covered[2] == [False] * 4 + [True] * 2


def test_every_wrong_row_is_told(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    rows = ["0,5,1,1,2,2", "5,5,1,1,2,2", "-1,,1,1,2,2", "a,,1,1,2,2", "0,,2,1,2,2", "0,,1,1"]
    rows += ["0,,1,1,nan,2", "0,,1,1,2,2,3"]
    path.write_text("\n".join(["start,end,x0,y0,x1,y1", *rows]))
    with pytest.raises(DataError, match="have 7 faults") as caught:
        read_boxes(path)
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        f"line {line}" for line in (3, 4, 5, 6, 7, 8, 9)
    ]
    path.write_text("frame,x,y\n1,2,3\n")
    with pytest.raises(DataError, match="must begin with the line 'start,end,x0,y0,x1,y1'"):
        read_boxes(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot read the boxes"):
        read_boxes(path)
    with pytest.raises(DataError, match="cannot read the boxes"):
        read_boxes(tmp_path / "none.csv")


def test_regions() -> None:
    region = Excluded.parse("10,20,30,5.5")
    assert region == Excluded(10, 20, 30, 5.5)
    for box, inside in (
        ((0, 0, 20, 40), True), ((0, 0, 19, 40), False), ((39, 20, 41, 22), False),
        ((30, 18, 49, 22), True), ((20, 24, 30, 27), False),
    ):  # fmt: skip
        assert region.holds(np.array(box, np.float64)) == inside
    for text in ("1,2,3", "a,b,c,d", "1,2,0,4", "1,2,3,-4", "nan,0,1,1", "1,2,3,inf", ""):
        with pytest.raises(ConfigError, match="write X,Y,W,H in pixels"):
            Excluded.parse(text)
