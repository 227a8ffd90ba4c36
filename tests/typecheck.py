"""The type checker that `conftest.py` puts on every signature of `unseen`."""

from beartype import BeartypeConf, beartype

# PEP 484's numeric tower, as mypy has it: an `int` is good where a `float` is asked for.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
