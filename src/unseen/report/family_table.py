"""A family's table, and the papers' claims held against it, as rows and as Markdown."""

from collections.abc import Sequence
from pathlib import Path

from unseen.families.family import Family
from unseen.files import write_text
from unseen.report.canvas import percent
from unseen.report.claims import claims
from unseen.report.family import Drawn, Interval, Point, read_family
from unseen.training.folder import flat


def table_rows(drawn: Drawn) -> list[list[str]]:
    """Of each point: name, A_T, that of a fresh f_T, leak, seeds; A_T and leak as published."""
    published = {point.key: point for point in (*drawn.published, *drawn.beside)}
    rows = []
    for point in drawn.measured:
        known = published.get(point.key)
        rows.append(
            [
                point.key,
                _with_interval(point.target, point.target_interval),
                _with_interval(point.retrained, point.retrained_interval),
                _with_interval(point.leak, point.leak_interval),
                str(point.seeds),
                percent(known.target if known else None),
                percent(known.leak if known else None),
            ]
        )
    return rows


def claim_rows(points: Sequence[Point]) -> list[list[str]]:
    """Claim, source, in how many pairs it holds, and the differences of leak and A_T in points."""
    return [
        [
            claim.text,
            claim.source,
            f"{claim.holds} of {claim.pairs}",
            *(
                "–" if difference is None else f"{100 * difference:+.1f}"
                for difference in (claim.leak, claim.target)
            ),
        ]
        for claim in claims(points)
    ]


def beside_restarting(family: Family) -> str:
    """What members with restarting have that those without have not, for a sentence of a page."""
    found = []
    for name, value in flat(family.restart):
        if name.startswith("game.restart"):
            continue
        alike = [
            line for line, entry in family.lines.items() if dict(flat(entry.set)).get(name) == value
        ]
        found.append(f"{name} = {value}" + f" (but for {', '.join(alike)})" * bool(alike))
    return ", ".join(found)


def write_table(results: Sequence[Path], out: Path) -> None:
    """Write a family's table, and the papers' claims, as Markdown for documentation.

    Args:
        results: of its members, or the folder of a sweep.
        out: the tables, written whole or not at all.
    """
    drawn = read_family(results)
    where = f" on {drawn.like.name}" if drawn.like else ""
    head = ["", "A_T", "A_T, retrained", "leak", "seeds"]
    head += [f"{name}, published{where}" for name in ("A_T", "leak")]
    text = _markdown(head, [[f"`{row[0]}`", *row[1:]] for row in table_rows(drawn)])
    if found := claim_rows(drawn.measured):
        text += "\n" + _markdown(["claim", "source", "holds in", "leak", "A_T"], found)
        if also := beside_restarting(drawn.family):
            text += f"\nPairs with and without restarting differ in {also}, too.\n"
    write_text(out, text)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _with_interval(value: float | None, interval: Interval | None) -> str:
    if interval is None:
        return percent(value)
    return f"{percent(value)} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
