"""The README's figures and table, from result files.

    python benchmarks/readme_figures.py results/demo/*.json

Writes docs/images/trade-off.svg and docs/images/before-after.png (from the first learned
result, which must have its clips beside it; without them the picture is left as it is), and
prints the table.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from unseen.evaluation.results import read_previews, read_result
from unseen.report.entries import common_codec, read_entries
from unseen.report.tradeoff import tradeoff

IMAGES = Path(__file__).parent.parent / "docs" / "images"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"


def _learned(path: Path) -> bool:
    return bool(read_result(path)["anonymizer"]["kind"] == "learned")


def main(paths: list[Path]) -> None:
    entries = read_entries(paths)
    # Runs, which keep their order, are called as their files are, baselines by their names.
    called = iter([path.stem for path in paths if _learned(path)])
    entries = [replace(each, label=next(called)) if each.learned else each for each in entries]
    drawn = tradeoff(entries, common_codec(entries))
    (IMAGES / "trade-off.svg").write_text(drawn.wide, encoding="utf-8")
    print("| anonymizer | A_T | A_T, stored | leak | leak, stored | attackers |")
    print("| --- | --- | --- | --- | --- | --- |")
    for entry in entries:
        result = entry.result
        stored = result["codec"] or {}
        target, privacy = result["target"], result["privacy"]
        others = privacy.get("attacks") or {}
        low, high = (stored or result)["privacy"]["interval"]
        cells = [
            f"`{entry.label}`",
            percent(target["retrained_accuracy"]),
            percent(stored and stored["target"]["retrained_accuracy"]),
            percent(privacy["leak"]),
            f"{percent(stored and stored['privacy']['leak'])} [{100 * low:.1f}, {100 * high:.1f}]",
            str(len(privacy["attackers"])) + (f" and {len(others)} attacks" if others else ""),
        ]
        print("| " + " | ".join(cells) + " |")
    previews = read_previews(next(filter(_learned, paths)))
    if previews is None or previews.before is None:
        return
    after = previews.after if previews.after_codec is None else previews.after_codec
    rows = [
        np.concatenate([clip[k] for k in (4, 7, 10)], 1)
        for pair in zip(previews.before[:2], after[:2], strict=True)
        for clip in pair
    ]
    sheet = np.concatenate([np.concatenate(rows[:2], 1), np.concatenate(rows[2:], 1)], 0)
    height, width = sheet.shape[:2]
    picture = Image.fromarray(sheet).resize((3 * width, 3 * height), Image.Resampling.NEAREST)
    picture.save(IMAGES / "before-after.png")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
