"""Signatures are checked in tests: shapes by jaxtyping, everything else by beartype."""

import os

from jaxtyping import install_import_hook

# Before anything of `unseen` is imported: modules that are already loaded stay unchecked.
install_import_hook("unseen", "typecheck.checked")

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

# Small tensors: a second thread costs more than it brings, most of all beside another process.
torch.set_num_threads(1)
