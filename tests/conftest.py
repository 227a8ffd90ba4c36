"""Signatures are checked in tests: shapes by jaxtyping, everything else by beartype."""

from collections.abc import Iterator

import pytest
from jaxtyping import config, install_import_hook

# Modules that are loaded before the hook stay unchecked: this one draws a clip with thousands of
# calls of plain numbers, which checks make fifteen times slower.
import unseen.data.duet_scene  # noqa: F401

install_import_hook("unseen", "typecheck.checked")

import torch  # noqa: E402

# Small tensors: a second thread costs more than it brings, most of all beside another process.
torch.set_num_threads(1)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Lets wrong shapes through, for code that must refuse them itself, with its own message."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)
