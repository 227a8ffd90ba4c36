"""Figures about faces: verification, and action detection against it (Ren18 Fig. 4)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from unseen.errors import DataError
from unseen.evaluation.face_results import read_face_result
from unseen.files import written_whole
from unseen.registry import nearest
from unseen.report.canvas import FAINT, HALF, INK, NARROW, Picture, percent, percent_axis, picture
from unseen.report.figures import apart

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
_PUBLISHED = "#d97706"


def write_face_figures(
    results: Sequence[Path], folder: Path, *, recogniser: str | None = None
) -> list[Path]:
    """Write `verification.svg`, and `detection.svg` where a result has action detection.

    Args:
        results: files of `unseen verify-faces`.
        folder: where to.
        recogniser: by whose verification; None: the first of each result.

    Raises:
        DataError: names every result that is missing or broken, or lacks that recogniser.
    """
    read: list[dict[str, Any]] = []
    faults: list[str] = []
    for path in results:
        try:
            read.append(read_face_result(path))
            verified(read[-1], recogniser)
        except DataError as error:
            faults.append(str(error))
    if faults:
        raise DataError("these results cannot be drawn", faults)
    drawn = {"verification.svg": verification_bars(read, recogniser)}
    if any(result["detection"] for result in read):
        drawn["detection.svg"] = detection_against_verification(read, recogniser)
    for name, figure in drawn.items():
        with written_whole(folder / name) as temporary:
            temporary.write_text(figure.wide, encoding="utf-8")
    return [folder / name for name in drawn]


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


def detection_against_verification(
    results: Sequence[dict[str, Any]], recogniser: str | None = None
) -> Picture:
    """Frame mAP against the verification error on modified faces (Ren18 Fig. 4).

    Upper right is better. Published points stand where both figures are printed in Ren18; of its
    other baselines the mAP alone is, as a mark on the right.
    """
    points = [
        (result["name"], 1 - verified(result, recogniser)["modified"]["accuracy"],
         float(result["detection"]["mean"]))
        for result in results
        if result["detection"]
    ]  # fmt: skip
    alt = "Frame mAP against verification error; upper right is better. " + "; ".join(
        f"{name}: mAP {percent(found)} at error {percent(error)}" for name, error, found in points
    )
    alt += ". Published for DALY: " + "; ".join(
        f"{name}: mAP {percent(found)}"
        + (f" at error {percent(PUBLISHED_ERROR[name])}" if name in PUBLISHED_ERROR else "")
        for name, found in PUBLISHED_MAP.items()
    )
    return picture(lambda width: _draw_detection(points, width), alt, HALF)


def _draw_detection(points: Sequence[tuple[str, float, float]], width: float) -> Figure:
    height = 4.4
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    for name, error in PUBLISHED_ERROR.items():
        axes.plot(error, PUBLISHED_MAP[name], "s", color=_PUBLISHED, markersize=7)
        axes.annotate(
            f"{name} (Ren18)", (error, PUBLISHED_MAP[name]), (6, 4), textcoords="offset points",
            size=8, color=_PUBLISHED,
        )  # fmt: skip
    for name, error, found in points:
        axes.plot(error, found, "o", color="#1d4ed8", markersize=7)
        axes.annotate(
            name, (error, found), (6, -10), textcoords="offset points", size=8, color="#1d4ed8"
        )
    maps = [*PUBLISHED_MAP.values(), *(found for _, _, found in points)]
    low, high = min(maps) - 0.03, max(maps) + 0.05
    others = {name: v for name, v in PUBLISHED_MAP.items() if name not in PUBLISHED_ERROR}
    gap = (high - low) * 0.155 / (height - 1.0)
    levels = apart(list(others.values()), gap, high)
    for (name, value), level in zip(others.items(), levels, strict=True):
        axes.annotate(
            f"{name} {percent(value)}", (1.0, value), (1.05, level),
            xycoords=axes.get_yaxis_transform(), textcoords=axes.get_yaxis_transform(),
            va="center", size=7.5, color=FAINT, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "relpos": (0, 0.5)},
        )  # fmt: skip
    axes.set_ylim(low, high)
    axes.set_xlim(0.0, 0.52)
    percent_axis(axes, "x")
    percent_axis(axes, "y")
    axes.set_xlabel("verification error; 50% is blind")
    axes.set_ylabel("frame mAP at IoU 0.5")
    axes.set_title("Upper right is better; orange and grey: Ren18, DALY", size=8.5)
    return figure
