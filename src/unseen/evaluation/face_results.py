"""Result files about faces: of `verify-faces` and of `evaluate-actions`.

Each is checked against its schema, `faces.schema.json` or `actions.schema.json`, on every way in.
"""

from pathlib import Path
from typing import Any

from unseen.evaluation.results import ACTIONS, as_json, read_document, refuse, schema_faults
from unseen.files import write_json


def read_face_result(path: Path) -> dict[str, Any]:
    """Read a result file of `evaluate_faces` or `evaluate_actions` and check it.

    Returns:
        The document, `schema` says which of the two; accuracies, errors, average precisions and
        chance are fractions in [0, 1].

    Raises:
        DataError: the file is missing, is no JSON, or breaks the schema; names every field.
    """
    value = read_document(path)
    refuse(path, _faults(value))
    return dict(value)


def write_face_result(path: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Check `result` and write it, as `write_result` does."""
    document = as_json(result)
    refuse(path, _faults(document))
    write_json(path, document)
    return document


def _faults(value: Any) -> list[str]:
    if isinstance(value, dict) and value.get("schema") == ACTIONS:
        return schema_faults(value, "actions.schema.json")
    return schema_faults(value, "faces.schema.json") or _contradictions(value)


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
