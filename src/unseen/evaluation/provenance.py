"""Where a figure comes from: what every file with figures says of itself."""

import hashlib
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch


def provenance(seed: int, device: str) -> dict[str, Any]:
    """Commit, seed, device, machine, and the date in UTC."""
    return {
        "commit": source_commit(),
        "seed": seed,
        "device": device,
        "machine": _machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def source_commit() -> str | None:
    """The commit of the checkout that runs, if it is one; `-dirty` where its code was changed."""
    here = Path(__file__)
    try:
        # Installed, this file may lie in a repository of somebody else that does not keep it.
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        commit = _git(here.parent, "rev-parse", "HEAD")
        changed = _git(here.parents[1], "status", "--porcelain", "--untracked-files=no", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changed else commit


@cache
def source_hash() -> str:
    """SHA-256 over all modules of the package, hexadecimal: of the code that runs, committed or
    not."""
    sha, package = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        sha.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes())
    return sha.hexdigest()


def _git(folder: Path, *words: str) -> str:
    # Without locks: beside a `git commit` of the user's, looking must not make that one fail.
    return subprocess.run(
        ["git", "--no-optional-locks", *words],
        cwd=folder, capture_output=True, text=True, check=True, timeout=10,
    ).stdout.strip()  # fmt: skip


def _machine() -> str:
    cores = torch.get_num_threads()
    return f"{platform.system()} {platform.machine()}, {cores} threads, PyTorch {torch.__version__}"
