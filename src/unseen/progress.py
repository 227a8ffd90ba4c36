"""Progress of long work: a bar with rate and time left on a terminal, nothing in a pipe."""

import os
import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm


def progress(total: int | None, what: str, unit: str = "it", *, start: int = 0) -> Any:
    """A bar on standard error, open within `with`; `update(n)`, `set_postfix_str(text)` move it.

    Args:
        total: how much there is to do, if known.
        what: shown before the bar.
        unit: what is counted.
        start: how much was done before.
    """
    quiet = not (sys.stderr.isatty() and speaks())
    return tqdm(
        total=total, desc=what, unit=unit, initial=start, disable=quiet, leave=False,
        dynamic_ncols=True,
    )  # fmt: skip


def counting(what: str, unit: str = "it") -> Callable[[int, int], None]:
    """Shows a bar to who is told (done, in all), from the first time until all is done."""
    bar: Any = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is not None and bar.total != total:  # what it counted ended early
            bar.close()
            bar = None
        if bar is None:
            bar = progress(total, what, unit)
        bar.update(done - bar.n)
        if done >= total:
            bar.close()
            bar = None

    return show


def speaks() -> bool:
    """Whether this process is the one that says how it goes, of several that train together."""
    return os.environ.get("LOCAL_RANK", "0") == "0"
