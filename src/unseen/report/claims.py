"""What the papers say of their strategies, held against the measured points of a family."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from unseen.report.family import Point


@dataclass(frozen=True)
class Claim:
    """One claim, over all pairs of points that can tell.

    Attributes:
        text: what is claimed of the first of each pair.
        source: where.
        holds: pairs in which it does.
        pairs: in all.
        leak: mean difference of the leak, first less second, as a fraction; None: no pair of two.
        target: mean difference of the target accuracy.
    """

    text: str
    source: str
    holds: int
    pairs: int
    leak: float | None
    target: float | None


Pair = tuple[Point, Point]


def claims(points: Sequence[Point]) -> list[Claim]:
    """Every claim for which there are points, in the order of the papers.

    A pair differs in one thing only, and in what the family sets with it (with restarting, SBU has
    more steps). It confirms a claim about leaks when the first of it leaks
    less; whether by more than chance, the intervals tell.
    """
    learned = [point for point in points if point.line]
    found = []
    for text, source, pairs in (
        (
            "restarting leaks less than none",
            "Wu18 4.1 (2), Wang19 4.1.4",
            [
                (one, other)
                for one in learned
                for other in learned
                if one.restarting and not other.restarting
                if (one.line, one.size) == (other.line, other.size)
            ],
        ),
        ("the largest M or K leaks less than 1", "Wu18 4.1 (3), Wang19 4.1.4", _sizes(learned)),
        ("entropy leaks less than k-beam", "Wang19 4.1.3", _lines(learned, "entropy", "k-beam")),
        ("k-beam leaks less than grl", "Wang19 4.1.3", _lines(learned, "k-beam", "grl")),
        ("entropy leaks less than grl", "Wang19 4.1.3", _lines(learned, "entropy", "grl")),
    ):
        if pairs:
            leaks = [one.leak - other.leak for one, other in pairs]
            targets = [one.target - other.target for one, other in pairs]
            holds = sum(leak < 0 for leak in leaks)
            found.append(
                Claim(
                    text, source, holds, len(pairs), float(np.mean(leaks)), float(np.mean(targets))
                )
            )
    return found + list(_against_handcrafted(points))


def _sizes(learned: Sequence[Point]) -> list[Pair]:
    """The largest size of each line, with and without restarting, and size 1 of it."""
    pairs = []
    for one in learned:
        line = [p for p in learned if (p.line, p.restarting) == (one.line, one.restarting)]
        if one.size == max(p.size for p in line) > 1:
            pairs += [(one, other) for other in line if other.size == 1]
    return pairs


def _lines(learned: Sequence[Point], first: str, second: str) -> list[Pair]:
    """Points of two strategies with as many budget models, both with or without restarting."""
    return [
        (one, other)
        for one in learned
        for other in learned
        if (one.line, other.line) == (first, second)
        if (one.size, one.restarting) == (other.size, other.restarting)
    ]


def _against_handcrafted(points: Sequence[Point]) -> Iterator[Claim]:
    """Each learned point against the handcrafted one that keeps at least as much and leaks least.

    It holds where that leaks more, or where no handcrafted one keeps as much.
    """
    learned = [point for point in points if point.line]
    rivals = [point for point in points if not point.line]
    if not learned or not rivals:
        return
    pairs = [
        (one, min(able, key=lambda each: each.leak))
        for one in learned
        if (able := [rival for rival in rivals if rival.target >= one.target])
    ]
    without = len(learned) - len(pairs)
    leaks = [one.leak - other.leak for one, other in pairs]
    targets = [one.target - other.target for one, other in pairs]
    yield Claim(
        "a learned filter leaks less than every handcrafted anonymizer, raw included, that keeps "
        "at least as much",
        "Wu18 4.1 (1, 4), Wang19 4.1.3",
        without + sum(leak < 0 for leak in leaks),
        len(learned),
        float(np.mean(leaks)) if leaks else None,
        float(np.mean(targets)) if targets else None,
    )
