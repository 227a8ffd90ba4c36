"""Which attackers an evaluation has: so many of a suite, or named ones, and no budget model."""

from collections.abc import Sequence
from functools import cache, partial

import torch

from unseen.errors import ConfigError, Faults, together
from unseen.models import SUITES, canonical, create_model, without_weights
from unseen.registry import Spec

# Packages whose networks may be those of this project, or each other's, under other names.
_PACKAGES = ("timm", "torchvision")


def choose_attackers(
    wanted: str, budget_models: Sequence[str] = (), suite: str = "small"
) -> list[str]:
    """Attackers by number or by name, none of them a budget model.

    Args:
        wanted: a number (the first of the suite that are no budget models), or names joined by
            commas.
        budget_models: the ensemble of the training; its architectures, widths included, are
            refused by name and passed over by number.
        suite: `small` (CPU) or `paper` (Wu18 4.1).

    Raises:
        ConfigError: a named attacker was a budget model, or the suite is too small.
    """
    if wanted.isdecimal() and suite not in SUITES:
        raise _unknown_suite(suite)
    budget = list(dict.fromkeys(canonical(without_weights(name)) for name in budget_models))

    def taken(name: str) -> bool:
        return any(_same_architecture(name, other) for other in budget)

    if wanted.isdecimal():
        names = [name for name in map(canonical, SUITES[suite]) if not taken(name)]
        if not 1 <= int(wanted) <= len(names):
            raise ConfigError(
                f"--attackers {wanted}: the suite '{suite}' has {len(names)} attackers that are no "
                "budget models of this run; name others with --attackers NAME,NAME"
            )
        return names[: int(wanted)]
    listed = [partial(canonical, name) for name in wanted.split(",") if name.strip()]
    faults, names = Faults(), list[str]()
    with faults.collected():  # of no use to a list, but it stands in the result
        if suite not in SUITES:
            raise _unknown_suite(suite)
    with faults.collected():
        names = together(ConfigError, f"--attackers {wanted}: some cannot be had", listed)
    faults.refuse(f"--attackers {wanted} --suite {suite}:", ConfigError)
    overlap = [name for name in names if taken(name)]
    if overlap:
        raise ConfigError(
            f"{', '.join(overlap)} trained against this filter as budget model; an attacker must "
            f"not have: leave it out and name another, or write --attackers {len(names)}, which "
            f"passes over it and takes the next of the suite '{suite}'"
        )
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"--attackers '{wanted}': name each attacker once")
    return names


def _unknown_suite(suite: str) -> ConfigError:
    return ConfigError(f"unknown suite '{suite}'; choose from: {', '.join(SUITES)}")


def _same_architecture(one: str, other: str) -> bool:
    """Whether two canonical names mean the same adversary: family and width, not the weights."""
    first, second = Spec.parse(_bare(one)), Spec.parse(_bare(other))
    if first.name in _PACKAGES or second.name in _PACKAGES:
        return _parameter_shapes(str(first)) == _parameter_shapes(str(second))
    return (first.name.removesuffix("-gn"), first.option) == (
        second.name.removesuffix("-gn"), second.option,
    )  # fmt: skip


def _bare(name: str) -> str:
    """The specification without weights: of a package's, behind a dot, also which of several."""
    bare = without_weights(name)
    return bare.partition(".")[0] if Spec.parse(name).name in _PACKAGES else bare


@cache
def _parameter_shapes(name: str) -> tuple[torch.Size, ...]:
    """The shapes of all parameters, sorted: two networks of the same are one architecture."""
    with torch.device("meta"):
        model = create_model(name, 7, size=112, frames=16)
    return tuple(sorted(parameter.shape for parameter in model.parameters()))
