"""Where a figure comes from: what every file with figures says of itself."""

import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch


def provenance(seed: int, device: str) -> dict[str, Any]:
    """Commit, seed, device, machine, and the date in UTC."""
    return {
        "commit": _commit(),
        "seed": seed,
        "device": device,
        "machine": _machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _commit() -> str | None:
    """The commit of the checkout that runs, if it is one."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _machine() -> str:
    cores = torch.get_num_threads()
    return f"{platform.system()} {platform.machine()}, {cores} threads, PyTorch {torch.__version__}"
