"""Result files: one anonymizer, measured; checked against `result.schema.json` on every way in.

A result is `X.json`. Beside it may stand `X.clips.npz`, a few clips before and after the
anonymizer, for the report.
"""

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from unseen.errors import ConfigError, DataError
from unseen.files import read_json, refuse_unwritable, write_json, written_whole
from unseen.types import StoredClips

SCHEMA = "unseen/result/1"
# Results of `verify-faces` and `evaluate-actions`, see `unseen.evaluation.face_results`.
FACES, ACTIONS = "unseen/faces/1", "unseen/actions/1"


def read_result(path: Path) -> dict[str, Any]:
    """Read a result file and check it.

    Returns:
        The JSON document as `result.schema.json` describes it; accuracies, leaks and chance levels
        are fractions in [0, 1].

    Raises:
        DataError: the file is missing, is no JSON, or breaks the schema; names the file and every
            field at fault.
    """
    value = read_document(path)
    if isinstance(value, dict) and value.get("schema") in (FACES, ACTIONS):
        raise DataError(
            f"{path}: is of verify-faces or evaluate-actions; draw it with `unseen face-figures`"
        )
    _check(path, value)
    return dict(value)


def worst_privacy(result: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """`privacy` of pixels or of the codec, whichever leaks more, and whether it is the codec's.

    The headline leak is the worst of all attacks on either.
    """
    views = [(result["privacy"], False)]
    if result["codec"] is not None:
        views.append((result["codec"]["privacy"], True))
    return max(views, key=lambda view: float(view[0]["leak"]))


def never_learned(privacy: dict[str, Any]) -> list[str]:
    """Attackers that gave up with next to nothing learned, even of their training clips.

    Their loss never fell a hundredth below that of a guess that sees no clip. What they do not
    read, another network, another start or more data may. Those that were stopped are not named.

    Args:
        privacy: of a result; nobody is named in those of before the loss of the guess was kept.
    """
    blind = privacy.get("blind_loss")
    if blind is None:
        return []
    losses = {
        each["name"]: [row["train_loss"] for row in each["curve"] if row["train_loss"] is not None]
        for each in privacy["attackers"]
        if each["stopped"] == "plateau"
    }
    return [name for name, known in losses.items() if known and min(known) > 0.99 * blind]


def write_result(path: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Check `result` and write it, whole or not at all.

    Returns:
        What is in the file now: with lists for tuples.

    Raises:
        DataError: `result` breaks the schema; nothing is written.
    """
    document = as_json(result)
    _check(path, document)
    write_json(path, document)
    return document


def as_json(result: dict[str, Any]) -> dict[str, Any]:
    """A result as it is read from its file: with lists for tuples."""
    document: dict[str, Any] = json.loads(json.dumps(result))
    return document


@dataclass(frozen=True)
class Previews:
    """Clips that show what an anonymizer does, `uint8 (clips, time, height, width, 3)` each.

    Attributes:
        after: anonymized.
        captions: one line for each clip, such as its labels.
        before: the same clips raw; None where they show real people.
        after_codec: `after`, read back from a video file; None where no codec was measured.
        reconstructed: what a reconstruction attack makes of the last of the two; None where there
            was none, or where it shows real people.
    """

    after: StoredClips
    captions: tuple[str, ...]
    before: StoredClips | None = None
    after_codec: StoredClips | None = None
    reconstructed: StoredClips | None = None

    def faults(self) -> list[str]:
        """What is inconsistent, one line each."""
        found = []
        for name in ("before", "after", "after_codec", "reconstructed"):
            clips = getattr(self, name)
            if clips is None:
                continue
            if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[-1] != 3:
                found.append(
                    f"{name}: must be uint8 (clips, time, height, width, 3), "
                    f"is {clips.dtype} {clips.shape}"
                )
            elif clips.shape != self.after.shape:
                found.append(f"{name}: {clips.shape}, but after is {self.after.shape}")
        if not self.after.size:
            found.append("after: holds no frame")
        if len(self.captions) != len(self.after):
            found.append(f"captions: {len(self.captions)}, but {len(self.after)} clips")
        return found


def refuse_result_file(out: Path, schema: str) -> None:
    """Raise `ConfigError` where a result cannot be written, or would replace what is none.

    Args:
        out: the result file.
        schema: of the result; another one of the same schema may be replaced.
    """
    refuse_unwritable(out)
    if out.suffix != ".json":
        raise ConfigError(f"{out}: the name of a result must end in .json")
    if not out.exists():
        return
    try:
        there = read_json(out)
    except (OSError, ValueError):
        there = None
    if not isinstance(there, dict) or there.get("schema") != schema:
        raise ConfigError(f"{out} is there and is no result of this kind: name another file")


def previews_path(result: Path) -> Path:
    """Where the clips that belong to a result file stand."""
    return result.with_name(f"{result.stem}.clips.npz")


def read_previews(result: Path) -> Previews | None:
    """The clips beside a result file, or None where there are none.

    Raises:
        DataError: the file is damaged, or its arrays do not fit each other.
    """
    path = previews_path(result)
    if not path.exists():
        return None
    try:
        # Opened here: numpy leaves a file open that turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            previews = Previews(
                after=arrays["after"],
                captions=tuple(str(caption) for caption in arrays["captions"]),
                before=arrays.get("before"),
                after_codec=arrays.get("after_codec"),
                reconstructed=arrays.get("reconstructed"),
            )
    except Exception as error:  # of zipfile, zlib, tokenize or numpy, by where it is damaged
        raise DataError(f"{path}: cannot be read as preview clips: {error}") from error
    refuse(path, previews.faults())
    return previews


def write_previews(result: Path, previews: Previews) -> None:
    """Write the clips that belong to a result file beside it."""
    path = previews_path(result)
    refuse(path, previews.faults())
    arrays = {
        "before": previews.before,
        "after": previews.after,
        "after_codec": previews.after_codec,
        "reconstructed": previews.reconstructed,
        "captions": np.array(previews.captions, dtype=np.str_),
    }
    with written_whole(path) as temporary:
        present = {name: array for name, array in arrays.items() if array is not None}
        np.savez_compressed(temporary, allow_pickle=False, **present)


@cache
def _validator(schema: str) -> Draft202012Validator:
    text = resources.files("unseen.evaluation").joinpath(schema).read_text("utf-8")
    return Draft202012Validator(json.loads(text))


def _check(path: Path, value: Any) -> None:
    refuse(path, schema_faults(value, "result.schema.json") or _contradictions(value))


def read_document(path: Path) -> Any:
    """The JSON in a result file of any kind.

    Raises:
        DataError: it is missing, or no JSON.
    """
    try:
        return read_json(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path}: is not JSON: {error}") from error


def schema_faults(value: Any, schema: str) -> list[str]:
    """What in a document breaks a schema of this package, one line each."""
    # NaN passes every comparison of a JSON schema, so it is looked for first.
    try:
        faults = list(_not_finite(value, ()))
        errors = _validator(schema).iter_errors(value)
        faults += map(_fault, sorted(errors, key=lambda error: _field(error.absolute_path)))
    except RecursionError:
        return ["the document: is nested too deeply"]
    return list(dict.fromkeys(faults))


def refuse(path: Path, faults: list[str]) -> None:
    """Raise one `DataError` that names a file and all its faults, if there are any."""
    if len(faults) == 1:
        raise DataError(f"{path}: {faults[0]}")
    if faults:
        raise DataError(f"{path}: {len(faults)} faults", faults)


def _field(parts: Any) -> str:
    """`privacy.attackers[3].accuracy` from the steps that lead there."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".") or "the document"


def _not_finite(value: Any, where: tuple[str | int, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(item, (*where, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_finite(item, (*where, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{_field(where)}: must be a finite number, is {value}"
    elif isinstance(value, int) and abs(value) > sys.maxsize:
        yield f"{_field(where)}: must be a number that a computer counts to"


def _fault(error: ValidationError) -> str:
    """A schema violation as one line; the library's own message quotes the whole instance."""
    words = _words(str(error.validator), error.validator_value, error.schema, error.instance)
    return f"{_field(error.absolute_path)}: {words}"


def _words(keyword: str, rule: Any, schema: Any, instance: Any) -> str:
    match keyword:
        case "required":
            return f"lacks {', '.join(name for name in rule if name not in instance)}"
        case "additionalProperties":
            known = schema.get("properties", {})
            return f"unknown field {', '.join(str(name) for name in instance if name not in known)}"
        case "type":
            kinds = [rule] if isinstance(rule, str) else rule
            return f"must be {' or '.join(kinds)}, is {type(instance).__name__}"
        case "enum":
            return f"must be one of {', '.join(map(repr, rule))}, is {_short(instance)}"
        case "const":
            return f"must be {rule!r}, is {_short(instance)}"
        case "minimum" | "maximum" | "exclusiveMinimum":
            bound = {"minimum": "at least", "maximum": "at most"}.get(keyword, "above")
            return f"must be {bound} {rule}, is {_short(instance)}"
        case _:
            return f"{_short(instance)} breaks the rule {keyword}: {rule}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _contradictions(result: dict[str, Any]) -> list[str]:
    """Faults that a schema cannot express: figures of one file that deny each other."""
    found = []
    parts = [("", result)] + ([("codec.", result["codec"])] if result["codec"] else [])
    for prefix, part in parts:
        for name in ("target", "privacy"):
            low, high = part[name]["interval"]
            if low > high:
                found.append(f"{prefix}{name}.interval: low {low} is above high {high}")
        privacy, where = part["privacy"], f"{prefix}privacy"
        classified = {each["name"]: each["accuracy"] for each in privacy["attackers"]}
        attacks = privacy.get("attacks", {})
        accuracies = classified | {name: each["accuracy"] for name, each in attacks.items()}
        count = len(privacy["attackers"])
        if len(classified) != count:
            found.append(f"{where}.attackers: two have the same name")
        if privacy["best"] not in accuracies:
            found.append(f"{where}.best: '{privacy['best']}' is not among the attackers")
        elif not _same(accuracies[privacy["best"]], max(accuracies.values())):
            found.append(f"{where}.best: '{privacy['best']}' is not the best of the attackers")
        if not _same(privacy["leak"], max(accuracies.values())):
            found.append(f"{where}.leak: is not the accuracy of the best attacker")
        if len(privacy["leak_by_n"]) != count:
            found.append(
                f"{where}.leak_by_n: {len(privacy['leak_by_n'])} values for {count} attackers"
            )
        elif not _same(privacy["leak_by_n"][-1], max(classified.values())):
            found.append(f"{where}.leak_by_n: does not end at the best of the attackers")
        for name, each in attacks.items():
            low, high = each["interval"]
            if low > high:
                found.append(f"{where}.attacks.{name}.interval: low {low} is above high {high}")
    return found


def _same(one: float, other: float) -> bool:
    """Equal up to the rounding of stored figures."""
    return abs(one - other) < 5e-4
