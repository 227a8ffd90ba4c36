"""Result files of face anonymizers, checked against `faces.schema.json` on every way in."""

import json
from pathlib import Path
from typing import Any

from unseen.errors import DataError
from unseen.evaluation.results import refuse, schema_faults
from unseen.files import write_json

FACES_SCHEMA = "faces.schema.json"


def read_face_result(path: Path) -> dict[str, Any]:
    """Read a result file of `evaluate_faces` and check it.

    Returns:
        The document; accuracies, errors and chance are fractions in [0, 1].

    Raises:
        DataError: the file is missing, is no JSON, or breaks the schema; names every field.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path}: is not JSON: {error}") from error
    refuse(path, schema_faults(value, FACES_SCHEMA) or _contradictions(value))
    return dict(value)


def write_face_result(path: Path, result: dict[str, Any]) -> None:
    """Check `result` and write it, whole or not at all.

    Raises:
        DataError: `result` breaks the schema; nothing is written.
    """
    refuse(path, schema_faults(result, FACES_SCHEMA) or _contradictions(result))
    write_json(path, result)


def _contradictions(result: dict[str, Any]) -> list[str]:
    """Faults that a schema cannot express: figures of one file that deny each other."""
    found = []
    names = [each["name"] for each in result["recognisers"]]
    if len(set(names)) < len(names):
        found.append("recognisers: two have the same name")
    if {*result["data"]["folds"]} & {*result["data"]["train_folds"]}:
        found.append("data: a fold is both trained on and measured")
    known = result["identification"]
    if known:
        accuracies = {each["name"]: each["accuracy"] for each in known["attackers"]}
        if accuracies.get(known["best"]) != max(accuracies.values()):
            found.append(f"identification.best: '{known['best']}' is not the best attacker")
        if known["accuracy"] != max(accuracies.values()):
            found.append("identification.accuracy: is not that of the best attacker")
    return found
