import io
import json
import math
import os
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_trees import daly_annotations
from unseen.data.daly_pickle import convert_daly, read_plain_pickle
from unseen.errors import DataError


def write(path: Path, value: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_arrays_come_back_as_numpy_reads_them(tmp_path: Path, protocol: int) -> None:
    value = {
        "box": np.array([[0.25, 0.5]], np.float32),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big": np.array([1, 2], ">i4"),
        "flags": np.array([True, False]),
        "scalar": np.float64(0.5),
        "empty": np.zeros((0, 7)),
        "plain": [1, 2.5, "text", None, True, (1, 2)],
    }
    read = read_plain_pickle(write(tmp_path / "a.pkl", value, protocol))
    assert read == {
        "box": [[0.25, 0.5]],
        "columns": [[0, 1, 2], [3, 4, 5]],
        "big": [1, 2],
        "flags": [True, False],
        "scalar": 0.5,
        "empty": [],
        "plain": [1, 2.5, "text", None, True, [1, 2]],
    }


def test_the_names_that_python_2_wrote(tmp_path: Path) -> None:
    # What pickle.dumps(numpy.array([1.5, 2.0]), 2) is in Python 2.
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85"
        b"U\x01b\x87Rq\x03(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02f8K\x00K\x01\x87Rq\x05"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x10"
        + np.array([1.5, 2.0]).tobytes()
        + b"tb."
    )
    (tmp_path / "old.pkl").write_bytes(content)
    assert read_plain_pickle(tmp_path / "old.pkl") == [1.5, 2.0]


class Runs:
    """Pickled, it runs a command when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


HOSTILE: dict[str, Callable[[Path], Any]] = {
    "a shell": lambda trace: Runs(os.system, f"touch {trace}"),
    "eval": lambda trace: Runs(eval, f"open({str(trace)!r}, 'w')"),
    "a file": lambda trace: Runs(open, str(trace), "w"),
    "getattr": lambda trace: Runs(getattr, "text", "__class__"),
    "numpy's own loading": lambda trace: Runs(np.load, str(trace)),
    "a type": lambda trace: Path,
    "a function of numpy": lambda trace: {"x": np.save},
    "a dictionary of another kind": lambda trace: io.StringIO,
    "an array of objects": lambda trace: np.array([Runs(os.system, f"touch {trace}")], object),
    "an array of any objects": lambda trace: np.array([None, "x"], object),
    "an array of records": lambda trace: np.zeros(2, [("a", "f4")]),
    "an array of texts": lambda trace: np.array(["x"]),
    "bytes": lambda trace: {"x": b"\xff"},
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_but_plain_data_is_read_and_nothing_is_run(
    tmp_path: Path, name: str, protocol: int
) -> None:
    trace = tmp_path / "was-run"
    path = write(tmp_path / "bad.pkl", {"annot": [HOSTILE[name](trace)]}, protocol)
    with pytest.raises(DataError, match=r"bad\.pkl' cannot be read as plain data"):
        read_plain_pickle(path)
    assert not trace.exists()


# What a pickle can do with the stand-ins themselves, written by hand.
BY_HAND = {
    "a state on a class": b"\x80\x02cnumpy\nndarray\n}b.",
    "slots on a class": b"\x80\x02cnumpy\nndarray\nN}U\x07__new__K\x05s\x86b.",
    "a class as the value": b"\x80\x02cnumpy\nndarray\n.",
    "an instance that is no array": b"\x80\x02cnumpy\nndarray\n)R.",
    "a state on an instance": b"\x80\x02cnumpy\nndarray\n)R}b.",
    "a type with another argument": b"\x80\x02cnumpy\ndtype\nK\x05\x85R.",
    "bytes of another encoding": b"\x80\x02c_codecs\nencode\nU\x01aU\x05rot13\x86R.",
    "a name without its module": b"\x80\x02cbuiltins\nexec\n.",
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent id": b"\x80\x02U\x01aQ.",
    "nothing": b"",
    "cut off": b"\x80\x02}U\x05an",
    "no pickle": b"hello",
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_pickles_written_by_hand(tmp_path: Path, name: str) -> None:
    (tmp_path / "bad.pkl").write_bytes(BY_HAND[name])
    with pytest.raises(DataError, match=r"bad\.pkl' cannot be read as plain data: \S"):
        read_plain_pickle(tmp_path / "bad.pkl")
    # What one file tried changes nothing for the next.
    good = write(tmp_path / "good.pkl", {"box": np.array([1.0])})
    assert read_plain_pickle(good) == {"box": [1.0]}


def test_a_pickle_is_read_wherever_it_is_cut_or_changed(tmp_path: Path) -> None:
    whole = pickle.dumps(daly_annotations(), protocol=2)
    rng = np.random.default_rng(0)
    path = tmp_path / "daly.pkl"
    refused = 0
    for at in rng.integers(2, len(whole), 150):
        for spoilt in (whole[:at], whole[:at] + bytes([rng.integers(256)]) + whole[at + 1 :]):
            if any(op.name in ("LONG_BINPUT", "BINBYTES8") for op, _, _ in _opcodes(spoilt)):
                continue  # may ask for gigabytes of memory
            path.write_bytes(spoilt)
            try:
                read_plain_pickle(path)
            except DataError:
                refused += 1
    assert refused > 150


def _opcodes(content: bytes) -> list[Any]:
    found = []
    try:
        for each in pickletools.genops(content):
            found.append(each)
    except ValueError:
        pass
    return found


def test_the_annotations_as_json(tmp_path: Path) -> None:
    source = write(tmp_path / "daly1.1.0.pkl", daly_annotations())
    assert convert_daly(source, tmp_path / "out" / "daly.json") == 2
    written = json.loads((tmp_path / "out" / "daly.json").read_text())
    assert written["schema"] == "unseen/daly/1"
    assert written["classes"] == ["Drinking", "Phoning"]
    assert written["videos"]["bbb.mp4"] == {
        "split": "test",
        "action": "Phoning",
        "instances": [
            {
                "action": "Phoning",
                "begin": 0.1,
                "end": 0.9,
                "keyframes": [{"frame": 0, "box": pytest.approx([0.1, 0.2, 0.3, 0.4])}],
            }
        ],
    }


def _a_list(video: dict[Any, Any]) -> None:
    video["annot"] = [1]


def _mixed_keys(video: dict[Any, Any]) -> None:
    video["annot"][1] = []


def _no_place(video: dict[Any, Any]) -> None:
    video["annot"]["Phoning"][0]["keyframes"][0]["boundingBox"] = [[0.1, 0.2, math.nan, 0.4]]


def _too_late(video: dict[Any, Any]) -> None:
    video["annot"]["Phoning"][0]["endTime"] = 10**400


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_a_list, "AttributeError"),
        (_no_place, "ValueError nan is no time or place"),
        (_too_late, "OverflowError"),
        (_mixed_keys, None),
    ],
)
def test_odd_values_are_told_by_the_name_of_their_video(
    tmp_path: Path, change: Callable[[dict[Any, Any]], None], fault: str | None
) -> None:
    annotations = daly_annotations()
    change(annotations["annot"]["bbb.mp4"])
    annotations["annot"][7] = annotations["annot"]["aaa.mp4"]  # a name that is no text
    source = write(tmp_path / "daly.pkl", annotations)
    if fault is None:
        assert convert_daly(source, tmp_path / "daly.json") == 3
        return
    with pytest.raises(DataError) as caught:
        convert_daly(source, tmp_path / "daly.json")
    (only,) = caught.value.faults
    assert only.startswith(f"'bbb.mp4': {fault}")


def test_the_pickle_is_not_replaced_by_what_is_made_of_it(tmp_path: Path) -> None:
    source = write(tmp_path / "daly.pkl", daly_annotations())
    link = tmp_path / "link.json"
    link.symlink_to(source)
    before = source.read_bytes()
    for out in (source, link):
        with pytest.raises(DataError, match="is the pickle itself; name another file"):
            convert_daly(source, out)
    assert source.read_bytes() == before


def test_another_pickle_is_refused_with_all_that_is_wrong(tmp_path: Path) -> None:
    source = write(tmp_path / "other.pkl", {"labels": [], "annot": 3})
    out = tmp_path / "daly.json"
    with pytest.raises(DataError) as caught:
        convert_daly(source, out)
    assert caught.value.faults == (
        "there is no list 'splits' at its top",
        "there is no dict 'annot' at its top",
    )
    annotations = daly_annotations()
    annotations["splits"][0].append("zzz.mp4")
    del annotations["annot"]["aaa.mp4"]["suggestedClass"]
    del annotations["annot"]["bbb.mp4"]["annot"]["Phoning"][0]["keyframes"][0]["frameNumber"]
    with pytest.raises(DataError) as caught:
        convert_daly(write(source, annotations), out)
    assert caught.value.faults == (
        "'splits' names 'zzz.mp4', which is not annotated",
        "'aaa.mp4': KeyError 'suggestedClass'",
        "'bbb.mp4': KeyError 'frameNumber'",
    )
    assert not out.exists()
    with pytest.raises(DataError, match=r"none\.pkl' cannot be read: No such file"):
        convert_daly(tmp_path / "none.pkl", out)
