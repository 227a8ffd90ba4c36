"""Values of a configuration: one put over another, `key=value`, and every fault in one report."""

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from unseen.errors import ConfigError
from unseen.registry import nearest

Config = TypeVar("Config", bound=BaseModel)

SEED_LIMIT = 2**31
Seed = Annotated[int, Field(ge=0, lt=SEED_LIMIT)]
"""Of anything random: PyTorch, NumPy and scikit-learn all take it."""
WORKER_LIMIT = 1024
Workers = Annotated[int, Field(ge=1, le=WORKER_LIMIT)]
"""Threads, or processes on one machine."""


class Section(BaseModel):
    """Part of a configuration, or of a file: fixed, complete, and without keys that it lacks."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Training(Section):
    """What the training of filters and of face modifiers has in common."""

    seed: Seed = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Workers = 1
    threads: Workers = 2
    batch: int = Field(32, ge=2)

    @model_validator(mode="after")
    def _shares_are_equal(self) -> "Training":
        if self.batch % self.devices:
            raise ValueError(f"batch {self.batch} does not divide over {self.devices} devices")
        return self


# What a configuration says of itself: as a setting it would change the label and nothing else.
_LABELS = ("preset", "kind")


def merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `change` in place of its own, section by section."""
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


@cache
def packaged(folder: str) -> dict[str, dict[str, Any]]:
    """The JSON files in a folder of this package, by name."""
    names = (entry.name for entry in (resources.files("unseen") / folder).iterdir())
    stems = sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))
    texts = {stem: resources.files("unseen") / folder / f"{stem}.json" for stem in stems}
    return {stem: json.loads(text.read_text(encoding="utf-8")) for stem, text in texts.items()}


def own_changes(folder: str, preset: str) -> dict[str, Any]:
    """What a preset changes in the one that it extends, or in the defaults."""
    values = packaged(folder)[preset]
    return {key: value for key, value in values.items() if key not in ("about", "extends")}


def preset_values(folder: str, preset: str) -> dict[str, Any]:
    """All that a preset changes in the defaults, with those that it extends."""
    base, own = packaged(folder)[preset].get("extends"), own_changes(folder, preset)
    return own if base is None else merge(preset_values(folder, base), own)


def _keys(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """The dotted keys of a configuration, with their types."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= _keys(inner, f"{prefix}{name}.")
        else:
            found[prefix + name] = inner
    return found


def _value(text: str) -> Any:
    """JSON where it is JSON, else the bare text (`game.objective=uniform`)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # also numbers of thousands of digits
        return text


def _fault(error: ErrorDetails) -> str:
    where = "".join(f"{part}." for part in error["loc"])[:-1]
    if error["type"] != "value_error":
        return f"{where}: {error['msg']} (given: {error['input']!r})"
    # Several settings that do not fit each other: the message names them, `input` is a section.
    return ": ".join(filter(None, (where, error["msg"].removeprefix("Value error, "))))


def damage(error: ValidationError) -> str:
    """What is wrong with a file that is no user's: each field and its fault, on one line."""
    faults = (f"{'.'.join(map(str, e['loc']))} {e['msg']}".strip() for e in error.errors())
    return "; ".join(faults)


def overridden(model: type[Config], values: dict[str, Any], overrides: Sequence[str]) -> Config:
    """A configuration from the values of all its settings and overrides.

    Keys, values and errors are those of `unseen.config.load_config`.
    """
    known = {key: kind for key, kind in _keys(model).items() if key not in _LABELS}
    faults = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            faults.append(f"'{override}' is not of the form key=value")
        elif key in _LABELS:
            faults.append(
                f"'{key}' is no setting: name a preset by --preset NAME, in a sweep by NAME alone"
            )
        elif key not in known:
            faults.append(f"unknown key '{key}'{nearest(key, known)}")
        else:
            value = _value(text)
            kinds = (known[key], *get_args(known[key]))  # of one that may be null, too
            listed = any(get_origin(kind) is tuple for kind in kinds)
            if listed and text != "null" and not isinstance(value, list):
                value = [part for part in text.split(",") if part]
            change: Any = value
            for part in reversed(key.split(".")):
                change = {part: change}
            values = merge(values, change)
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        faults += map(_fault, error.errors())
    if not faults:
        return config
    raise ConfigError("configuration: " + "; ".join(faults))
