"""Figures about faces: verification, and action detection against it (Ren18 Fig. 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from unseen.errors import DataError
from unseen.evaluation.face_results import read_face_result
from unseen.evaluation.results import ACTIONS
from unseen.files import write_text
from unseen.registry import nearest
from unseen.report.canvas import FAINT, HALF, INK, NARROW, Picture, percent, percent_axis, picture
from unseen.report.figures import apart
from unseen.report.labels import label_points

# Ren18 Table 1: frame mAP on DALY, whose faces were modified.
PUBLISHED_MAP = {
    "Un-anonymized": 0.5685,
    "Blur (8x8)": 0.4239,
    "Blur (16x16)": 0.4810,
    "Blur (24x24)": 0.5197,
    "Noise (0.1)": 0.4991,
    "Noise (0.3)": 0.4647,
    "Noise (0.5)": 0.4381,
    "Masked": 0.3886,
    "Edge": 0.4799,
    "Super-Pixel": 0.4692,
    "Ours": 0.5232,
}
# Ren18 5.6: verification error of its trained face classifier on LFW, raw and modified. The errors
# of the other points of its Fig. 4 are not printed as numbers anywhere.
PUBLISHED_ERROR = {"Un-anonymized": 1 - 0.9475, "Ours": 1 - 0.6695}
_KINDS = {
    "raw": ("raw", "#9ca3af"),
    "resized": ("merely resized", "#60a5fa"),
    "modified": ("modified", "#1d4ed8"),
    "modified_one_side": ("modified and raw", "#0891b2"),
    "adapted": ("modified, adapted attacker", "#b91c1c"),
}
_PUBLISHED, _MEASURED = "#d97706", "#1d4ed8"


def write_face_figures(
    results: Sequence[Path], folder: Path, *, recogniser: str | None = None
) -> list[Path]:
    """Write `verification.svg`, and `detection.svg` where actions were detected.

    Args:
        results: files of `unseen verify-faces`, and of `unseen evaluate-actions` for the same
            anonymizers.
        folder: where to.
        recogniser: by whose verification; None: the first of each result.

    Raises:
        DataError: names every result that is missing or broken, lacks that recogniser, or has no
            partner that measured verification; or those that do not compare.
    """
    verifications: dict[str, dict[str, Any]] = {}
    detections: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    read_by: dict[str, str] = {}
    measured_on: dict[tuple[Any, ...], str] = {}
    for path in results:
        try:
            result = read_face_result(path)
            kind = detections if result["schema"] == ACTIONS else verifications
            if result["name"] in kind:
                raise DataError(f"{path}: a second result of this kind for '{result['name']}'")
            kind[result["name"]] = result
            if kind is verifications:
                read_by.setdefault(verified(result, recogniser)["name"], result["name"])
                measured_on.setdefault(_compared(result), result["name"])
        except DataError as error:
            faults.append(str(error))
    faults += [
        f"'{name}' has no result of `unseen verify-faces`, whose error Fig. 4 needs"
        for name in detections
        if name not in verifications
    ]
    if len(read_by) > 1:
        each = ", ".join(f"'{name}' by {by}" for by, name in read_by.items())
        faults.append(f"recognisers differ, and do not compare: {each}; name one (--recogniser)")
    if len(measured_on) > 1:
        each = ", ".join(f"'{name}'" for name in measured_on.values())
        faults.append(
            f"different faces, pairs or folds were measured, which do not compare: {each}"
        )
    if len({_trained(result) for result in detections.values()}) > 1:
        faults.append(
            "actions were detected in different frames, or by detectors that learned otherwise, "
            "which do not compare"
        )
    if faults:
        raise DataError("these results cannot be drawn", faults)
    measured = list(verifications.values())
    drawn = {"verification.svg": verification_bars(measured, recogniser)}
    if detections:
        drawn["detection.svg"] = detection_against_verification(measured, detections, recogniser)
    for name, figure in drawn.items():
        write_text(folder / name, figure.wide)
    return [folder / name for name in drawn]


def _compared(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two results of verification must have in common to stand beside each other."""
    data, settings = result["data"], result["configuration"]
    folds = (tuple(data[key]) for key in ("folds", "train_folds"))
    drawn: tuple[Any, ...] = ()
    if data["pairs"] == "drawn":
        drawn = (result["seed"], settings.get("pairs_per_fold"), settings.get("draw_folds"))
    return (data["hash"], data["pairs"], data["images"], *folds, *drawn)


def _trained(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """The same of two results of detection: the frames, and how a detector learned."""
    data, fresh = result["data"], result["fresh"]
    return (data["hash"], data["train_frames"], fresh["model"], fresh["steps"])


def verified(result: dict[str, Any], recogniser: str | None) -> dict[str, Any]:
    """The row of a recogniser in a result, the first without a name.

    Raises:
        DataError: it is not there.
    """
    rows: dict[str, dict[str, Any]] = {row["name"]: row for row in result["recognisers"]}
    if recogniser is None:
        return next(iter(rows.values()))
    if recogniser not in rows:
        raise DataError(
            f"'{result['name']}' was not measured by '{recogniser}'{nearest(recogniser, rows)}; "
            f"by: {', '.join(rows)}"
        )
    return rows[recogniser]


def verification_bars(results: Sequence[dict[str, Any]], recogniser: str | None = None) -> Picture:
    """Verification accuracy of each kind of faces behind each anonymizer; 50% is blind."""
    rows = [(result["name"], verified(result, recogniser)) for result in results]
    alt = "Verification accuracy. " + "; ".join(
        f"{name}: "
        + ", ".join(
            f"{label} {percent(row[kind]['accuracy'])}"
            for kind, (label, _) in _KINDS.items()
            if row[kind]
        )
        for name, row in rows
    )
    return picture(lambda width: _draw_bars(rows, width), alt, HALF)


def _draw_bars(rows: Sequence[tuple[str, dict[str, Any]]], width: float) -> Figure:
    shown = [
        (name, kind, row[kind]) for name, row in rows for kind in _KINDS if row[kind] is not None
    ]
    figure = Figure(figsize=(width, 1.2 + 0.23 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for at, (_, kind, found) in enumerate(shown):
        label, colour = _KINDS[kind]
        axes.barh(at, found["accuracy"], height=0.7, color=colour, xerr=found["standard_error"],
                  error_kw={"ecolor": INK, "elinewidth": 1})  # fmt: skip
        axes.annotate(
            f"{percent(found['accuracy'])} {label}", (1.02, at), va="center", size=8,
            annotation_clip=False,
        )  # fmt: skip
    firsts = {name: at for at, (name, _, _) in reversed(list(enumerate(shown)))}
    axes.set_yticks(list(firsts.values()), list(firsts))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.axvline(0.5, color=INK, linestyle="--", linewidth=1)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0.4, 1.9 if width > NARROW else 2.2)
    axes.set_xticks([0.4, 0.6, 0.8, 1.0])
    percent_axis(axes, "x")
    axes.set_xlabel("verification accuracy; 50% is blind", loc="left")
    axes.set_title(f"Verification by {rows[0][1]['name']}")
    return figure


@dataclass(frozen=True)
class _Point:
    """A point of Fig. 4; `own` where the detector is that of the run's game."""

    name: str
    error: float
    detection: float
    interval: tuple[float, float]
    own: bool

    @property
    def label(self) -> str:
        return f"{self.name}, its A" if self.own else self.name


def detection_against_verification(
    verifications: Sequence[dict[str, Any]],
    detections: Mapping[str, dict[str, Any]],
    recogniser: str | None = None,
) -> Picture:
    """Frame mAP against the verification error on modified faces (Ren18 Fig. 4).

    Upper right is better. Filled points have a detector trained behind the anonymizer, hollow ones
    that of the run's game. Published points stand where both figures are printed in Ren18; of its
    other baselines the mAP alone is, as a mark on the right.

    Args:
        verifications: results of `unseen verify-faces`.
        detections: results of `unseen evaluate-actions`, by the name of the anonymizer.
        recogniser: by whose verification; None: the first of each result.
    """
    points: list[_Point] = []
    for result in verifications:
        measured = detections.get(result["name"])
        if measured is None:
            continue
        error = 1 - verified(result, recogniser)["modified"]["accuracy"]
        for kind in ("fresh", "own"):
            found = measured[kind]
            if found is not None:
                low, high = found["interval"]
                points.append(
                    _Point(result["name"], error, found["mean"], (low, high), kind == "own")
                )
    alt = "Frame mAP against verification error; upper right is better. " + "; ".join(
        f"{p.label}: mAP {percent(p.detection)} at error {percent(p.error)}" for p in points
    )
    alt += ". Published for DALY: " + "; ".join(
        f"{name}: mAP {percent(found)}"
        + (f" at error {percent(PUBLISHED_ERROR[name])}" if name in PUBLISHED_ERROR else "")
        for name, found in PUBLISHED_MAP.items()
    )
    where = next(iter(detections.values()))["data"]["name"]
    return picture(lambda width: _draw_detection(points, where, width), alt, HALF)


def _draw_detection(points: Sequence[_Point], where: str, width: float) -> Figure:
    height = 4.8
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    shown = [*PUBLISHED_MAP.values(), *(end for p in points for end in (*p.interval, p.detection))]
    low, high = min(shown) - 0.03, max(shown) + 0.05
    axes.set_ylim(low, high)
    axes.set_xlim(0.0, max(0.52, *(p.error + 0.02 for p in points)))
    percent_axis(axes, "x")
    percent_axis(axes, "y")
    axes.set_xlabel("verification error; 50% is blind")
    axes.set_ylabel("frame mAP at IoU 0.5")
    axes.set_title(f"Upper right is better\nBlue: {where}; orange and grey: Ren18, DALY", size=8.5)
    for p in points:
        axes.plot([p.error] * 2, p.interval, color=_MEASURED, linewidth=1, alpha=0.5)
        axes.plot(
            p.error, p.detection, "o", color=_MEASURED, markersize=6,
            markerfacecolor="white" if p.own else _MEASURED,
        )  # fmt: skip
    for name, error in PUBLISHED_ERROR.items():
        axes.plot(error, PUBLISHED_MAP[name], "s", color=_PUBLISHED, markersize=6)
    others = {name: v for name, v in PUBLISHED_MAP.items() if name not in PUBLISHED_ERROR}
    levels = apart(list(others.values()), (high - low) * 0.155 / (height - 1.1), high)
    for (name, value), level in zip(others.items(), levels, strict=True):
        axes.annotate(
            f"{name} {percent(value)}", (1.0, value), (1.05, level),
            xycoords=axes.get_yaxis_transform(), textcoords=axes.get_yaxis_transform(),
            va="center", size=7.5, color=FAINT, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "relpos": (0, 0.5)},
        )  # fmt: skip
    named = [(p.label, (p.error, p.detection), _MEASURED) for p in points]
    named += [
        (f"{name} (Ren18)", (error, PUBLISHED_MAP[name]), _PUBLISHED)
        for name, error in PUBLISHED_ERROR.items()
    ]
    label_points(
        axes,
        [(name, {"size": 7.5, "color": colour}) for name, _, colour in named],
        [point for _, point, _ in named],
        [((p.error, p.interval[0]), (p.error, p.interval[1])) for p in points],
        marker=5.0,
    )
    return figure
