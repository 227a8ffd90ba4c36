"""One filter, many tasks (Wu18 section 5): what each task costs, and what they cost together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unseen.anonymizers.learned import CONTRACT_FILE, filter_hash, load_filter
from unseen.errors import WeightsError
from unseen.evaluation.target_contract import TARGETS_FOLDER, TargetContract, read_target_contract

Cost = dict[str, Any]


def read_targets(run: Path) -> list[TargetContract]:
    """The further target models of a run's folder, by name; none if it is no run.

    Raises:
        WeightsError: a contract is damaged, or of another filter than the one in the folder.
    """
    files = sorted((run / TARGETS_FOLDER).glob("*.json"))
    if not files or not (run / CONTRACT_FILE).is_file():
        return []
    own = filter_hash(load_filter(run))
    contracts = [read_target_contract(file) for file in files]
    for file, contract in zip(files, contracts, strict=True):
        if contract.anonymizer.hash != own:
            raise WeightsError(
                f"{file} was trained behind another filter than the one in {run}: train it again, "
                "or move it away"
            )
    return contracts


@dataclass(frozen=True)
class Total:
    """What several networks cost together."""

    what: str
    cost: Cost


def totals(anonymizer: Cost, targets: Sequence[Cost]) -> list[Total]:
    """One shared filter against a filter for each task, and against none.

    Args:
        anonymizer: what f_D costs: parameters, MACs and milliseconds a frame, each or None.
        targets: what the f_T of each of the k tasks costs.
    """
    k, filters = len(targets), [anonymizer] * len(targets)
    return [
        Total(f"on the camera: one filter for all {k} tasks", anonymizer),
        Total("on the camera: a filter for each task", _sum(filters)),
        Total(f"on the camera: no filter, all {k} target models", _sum(targets)),
        Total(f"in all: one filter, {k} target models", _sum([anonymizer, *targets])),
        Total(f"in all: {k} filters, {k} target models", _sum([*filters, *targets])),
    ]


def _sum(costs: Sequence[Cost]) -> Cost:
    """Of each figure the sum, or None where one is not known."""
    total: Cost = {}
    for key in costs[0]:
        values = [cost[key] for cost in costs]
        total[key] = None if None in values else sum(values)
    return total
