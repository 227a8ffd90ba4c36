"""Progress of long work: a bar with rate and time left on a terminal, nothing in a pipe."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


@contextmanager
def progress(total: int | None, what: str, unit: str = "it", *, start: int = 0) -> Iterator[Any]:
    """A bar on standard error; `update(n)` and `set_postfix_str(text)` move it.

    Args:
        total: how much there is to do, if known.
        what: shown before the bar.
        unit: what is counted.
        start: how much was done before.
    """
    quiet = not sys.stderr.isatty()
    with tqdm(
        total=total, desc=what, unit=unit, initial=start, disable=quiet, leave=False,
        dynamic_ncols=True,
    ) as bar:  # fmt: skip
        yield bar
