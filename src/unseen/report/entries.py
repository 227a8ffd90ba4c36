"""What a report is made of: results of the same data, read and checked together."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unseen.errors import DataError, WeightsError
from unseen.evaluation.results import Previews, read_previews, read_result
from unseen.evaluation.target_contract import TargetContract
from unseen.report.tasks import read_targets

LEARNED_COLOURS = ("#c2410c", "#7c3aed", "#be185d", "#a16207", "#991b1b")
HANDCRAFTED_COLOURS = (
    "#1d4ed8", "#0f766e", "#475569", "#0891b2", "#4d7c0f", "#6366f1", "#78716c", "#155e75",
)  # fmt: skip
RAW_COLOUR = "#111827"
# What a sweep's folder is known by (`unseen.sweep`).
SWEEP_FILE = "sweep.json"

_Read = tuple[dict[str, Any], Previews | None, Sequence[TargetContract]]


@dataclass(frozen=True)
class Entry:
    """One result of a report.

    Attributes:
        label: the name shown, unique within the report.
        colour: its colour in every figure.
        result: the result file, see `unseen.evaluation.results.read_result`.
        previews: its clips, if there are any.
        targets: further target models of its run (`unseen train-target`).
    """

    label: str
    colour: str
    result: dict[str, Any]
    previews: Previews | None = None
    targets: Sequence[TargetContract] = ()

    @property
    def learned(self) -> bool:
        """Whether the anonymizer was trained."""
        return bool(self.result["anonymizer"]["kind"] == "learned")

    @property
    def raw(self) -> bool:
        """Whether this is video without an anonymizer."""
        return "raw" in (self.result["name"], self.result["anonymizer"]["spec"])

    @property
    def notes(self) -> list[str]:
        """What its training said: caps that were reached, models that never got strong."""
        return list((self.result["training"] or {}).get("notes", ()))

    @property
    def stages(self) -> list[dict[str, Any]]:
        """The stages of its training that had steps: the next begins later."""
        stages = self.result["training"]["stages"]
        starts = [each["step"] for each in stages] + [math.inf]
        return [each for each, end in zip(stages, starts[1:], strict=True) if end > each["step"]]

    def part(self, name: str, codec: bool) -> dict[str, Any]:
        """`target` or `privacy`, straight from the anonymizer or read back from the codec."""
        source = self.result["codec"] if codec else self.result
        return dict(source[name])

    def attackers(self, codec: bool) -> dict[str, dict[str, Any]]:
        """Attackers by name; none where the codec was not measured."""
        if codec and self.result["codec"] is None:
            return {}
        return {each["name"]: each for each in self.part("privacy", codec)["attackers"]}

    def attacks(self, codec: bool) -> dict[str, dict[str, Any]]:
        """Attacks by other means than classifying, by name; none where none was asked for."""
        if codec and self.result["codec"] is None:
            return {}
        return dict(self.part("privacy", codec).get("attacks", {}))


def result_files(paths: Sequence[Path]) -> list[Path]:
    """Result files as they are, the `result.json` of run directories, all results of sweeps."""
    files: list[Path] = []
    for path in paths:
        if (path / SWEEP_FILE).exists():
            found = sorted((path / "results").glob("*.json"))
            if not found:
                raise DataError(f"{path}: the sweep has no result yet")
            files += found
        else:
            files.append(_result_of(path) if path.is_dir() else path)
    return list(dict.fromkeys(files))


def _run_of(result: Path) -> Path:
    """The folder of the run that a result is of: beside it, or among those of its sweep."""
    folder = result.absolute().parent
    in_sweep = folder.name == "results" and (folder.parent / SWEEP_FILE).exists()
    return folder.parent / "runs" / result.stem if in_sweep else folder


def _result_of(run: Path) -> Path:
    """The result in the folder of a run, or, of a run of a sweep, that beside its folder."""
    own, folder = run / "result.json", run.absolute().parent
    of_sweep = folder.parent / "results" / f"{run.absolute().name}.json"
    in_sweep = folder.name == "runs" and (folder.parent / SWEEP_FILE).exists()
    return of_sweep if in_sweep and of_sweep.exists() and not own.exists() else own


def read_entries(results: Sequence[Path]) -> list[Entry]:
    """Read result files, or the `result.json` of run directories, or all results of sweeps.

    Returns:
        Learned anonymizers first, in the order given, then the handcrafted ones by leak.

    Raises:
        DataError: lists every input that is missing or broken; or the results are of different
            data, so that their figures cannot be compared.
    """
    read: list[_Read] = []
    faults: list[str] = []
    for path in result_files(results):
        if not path.exists():
            faults.append(f"{path}: no such file; write it with 'unseen evaluate'")
            continue
        try:
            result, previews = read_result(path), read_previews(path)
            learned = result["anonymizer"]["kind"] == "learned"
            read.append((result, previews, read_targets(_run_of(path)) if learned else ()))
        except DataError as error:
            faults += [str(error).splitlines()[0], *(f"  {fault}" for fault in error.faults)]
        except WeightsError as error:
            faults.append(str(error))
    if faults:
        raise DataError("the report cannot be made: results are missing or broken", faults)
    if not read:
        raise DataError("the report needs at least one result file or run directory")
    _refuse_mixture([result for result, *_ in read])
    read.sort(key=lambda item: _rank(item[0]))
    return _with_labels(read)


def _rank(result: dict[str, Any]) -> tuple[bool, float]:
    learned = result["anonymizer"]["kind"] == "learned"
    return (not learned, 0.0 if learned else result["privacy"]["leak"])


def _refuse_mixture(results: list[dict[str, Any]]) -> None:
    kinds: dict[tuple[str, ...], list[str]] = {}
    for result in results:
        data = result["data"]
        key = (
            f"data {data['name']} ({data['hash'][:12]})",
            f"target {data['target']['name']} ({result['target']['metric']})",
            f"private {data['private']['name']} ({result['privacy']['metric']})",
        )
        kinds.setdefault(key, []).append(result["name"])
    if len(kinds) > 1:
        raise DataError(
            "the results are of different data and cannot be compared; make one report for each",
            [f"{', '.join(key)}: {', '.join(names)}" for key, names in kinds.items()],
        )


def _with_labels(read: list[_Read]) -> list[Entry]:
    entries: list[Entry] = []
    seen: Counter[str] = Counter()
    used: Counter[bool] = Counter()
    for result, previews, targets in read:
        name = result["name"]
        seen[name] += 1
        entry = Entry(name if seen[name] == 1 else f"{name} ({seen[name]})", "", result, previews)
        palette = LEARNED_COLOURS if entry.learned else HANDCRAFTED_COLOURS
        colour = RAW_COLOUR if entry.raw else palette[used[entry.learned] % len(palette)]
        used[entry.learned] += not entry.raw
        entries.append(Entry(entry.label, colour, result, previews, targets))
    return entries


def common_codec(entries: Sequence[Entry]) -> str | None:
    """The codec through which all entries were measured, or None where there is no such one."""
    names = {entry.result["codec"]["name"] if entry.result["codec"] else None for entry in entries}
    return next(iter(names)) if len(names) == 1 else None
