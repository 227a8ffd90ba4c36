"""DALY's annotations, which are published as a pickle, as JSON: read without running any of it.

A pickle is a program: loading one can run anything. Here it may build containers, texts and
numbers alone. The four names of NumPy that arrays need stand for classes of this file, which only
keep what they are given, so that no code but this ever runs; any other name ends the conversion.
"""

import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unseen.errors import DataError
from unseen.files import refuse_unwritable, write_json

SCHEMA = "unseen/daly/1"


class _Part:
    """Base of what a pickle may build: nothing can be set on it from outside."""

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("an object has a state that plain data has not")


class _ArrayType(_Part):
    """What stands for `numpy.ndarray`, as an argument that is not looked at."""


class _Bytes(_Part):
    """Bytes, which Python 3 writes as a call of `_codecs.encode` in old protocols."""

    def __init__(self, text: str = "", encoding: str = "latin1") -> None:
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"bytes are encoded as {encoding!r}")
        self.text = text


class _Type(_Part):
    """A type of numbers: `numpy.dtype('f8')` and its byte order."""

    def __init__(self, code: Any, align: Any = 0, copy: Any = 1) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"b1|[iu][1248]|f[48]", code):
            raise pickle.UnpicklingError(f"an array is of {code!r}, which are no plain numbers")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("an array's type has no byte order")
        self.order = state[1]

    def values(self, data: Any) -> npt.NDArray[Any]:
        """The numbers in `data`; Python 2 wrote bytes as texts."""
        text = data.text if isinstance(data, _Bytes) else data
        content = text.encode("latin1") if isinstance(text, str) else text
        if not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array has no bytes")
        return np.frombuffer(content, np.dtype(self.order + self.code))


class _Array(_Part):
    """An array, put together when its state arrives."""

    def __init__(self, *kind: Any) -> None:
        self.array: npt.NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, columns_first, data = state
        if not isinstance(kind, _Type) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("an array has no type or no shape")
        self.array = kind.values(data).reshape(shape, order="F" if columns_first else "C")


class _Scalar(_Part):
    """A single number of NumPy's."""

    def __init__(self, kind: _Type, data: Any) -> None:
        (self.value,) = kind.values(data).tolist()


_NAMES: dict[tuple[str, str], type[_Part]] = {
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _Bytes,
    # Called for empty bytes; the second name in old protocols.
    ("builtins", "bytes"): _Bytes,
    ("__builtin__", "bytes"): _Bytes,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar for core in ("core", "_core")},
}


class _PlainData(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name, if it has one."""
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no plain data")
        return _NAMES[module, name]


def read_plain_pickle(path: Path) -> Any:
    """The containers, texts, numbers and arrays of numbers in a pickle; nothing of it is run.

    A hostile file can still ask for much memory.

    Returns:
        dicts, lists, tuples, texts, numbers, and `ndarray` as nested lists.

    Raises:
        DataError: it cannot be read, is cut off, or holds anything else.
    """
    try:
        with path.open("rb") as file:
            return _plain(_PlainData(file, encoding="latin1").load())
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
    # What damaged and hostile files raise while they are put together.
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError,
            ValueError, OverflowError, MemoryError, RecursionError) as error:  # fmt: skip
        raise DataError(f"'{path}' cannot be read as plain data: {error}") from error


def _plain(value: Any) -> Any:
    match value:
        case _Array():
            return value.array.tolist()
        case _Scalar():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {_plain(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            raise pickle.UnpicklingError(f"it holds {type(value).__name__.strip('_').lower()}")


def convert_daly(source: Path, out: Path) -> int:
    """Write DALY's annotations (`daly1.1.0.pkl`) as JSON, as far as action detection needs them.

    Args:
        source: the published pickle.
        out: the JSON file, see `unseen.data.daly`.

    Returns:
        The number of videos.

    Raises:
        DataError: the pickle is damaged, holds more than plain data, or is not DALY's; every
            fault is named, and nothing is written. Or `out` is that file.
    """
    refuse_unwritable(out)
    if out.exists() and source.exists() and out.samefile(source):
        raise DataError(f"'{out}' is the pickle itself; name another file for the JSON")
    annotations = read_plain_pickle(source)
    faults: list[str] = []
    videos = _videos(annotations, faults)
    if faults:
        raise DataError(f"'{source}' is not DALY's annotations; nothing was written", faults)
    classes = annotations["labels"]
    write_json(out, {"schema": SCHEMA, "classes": classes, "videos": videos})
    return len(videos)


def _videos(annotations: Any, faults: list[str]) -> dict[str, Any]:
    wanted = {"labels": list, "splits": list, "annot": dict}
    for key, kind in wanted.items():
        if not isinstance(annotations, dict) or not isinstance(annotations.get(key), kind):
            faults.append(f"there is no {kind.__name__} '{key}' at its top")
    if faults:
        return {}
    if not annotations["splits"] or not isinstance(annotations["splits"][0], list):
        faults.append("'splits' has no list of test videos")
        return {}
    test = set(map(str, annotations["splits"][0]))
    for name in sorted(test - set(annotations["annot"])):
        faults.append(f"'splits' names '{name}', which is not annotated")
    videos = {}
    for name, video in sorted(annotations["annot"].items(), key=_by_name):
        try:
            videos[str(name)] = {
                "split": "test" if name in test else "train",
                "action": str(video["suggestedClass"]),
                "instances": [
                    _instance(action, instance)
                    for action, instances in sorted(video["annot"].items(), key=_by_name)
                    for instance in instances
                ],
            }
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            faults.append(f"'{name}': {type(error).__name__} {error}")
    return videos


def _by_name(item: tuple[Any, Any]) -> str:
    return str(item[0])


def _finite(number: Any) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{value} is no time or place")
    return value


def _instance(action: str, instance: Any) -> dict[str, Any]:
    return {
        "action": str(action),
        "begin": _finite(instance["beginTime"]),
        "end": _finite(instance["endTime"]),
        "keyframes": [
            {
                # DALY counts frames from 1.
                "frame": int(keyframe["frameNumber"]) - 1,
                "box": [_finite(part) for part in keyframe["boundingBox"][0]],
            }
            for keyframe in instance["keyframes"]
        ],
    }
