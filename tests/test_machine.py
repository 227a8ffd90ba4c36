"""How a process uses the machine."""

import platform
import subprocess
import sys

import pytest

# Page faults of tensors that are larger than what glibc ever keeps by itself (32 MB).
SCRIPT = """
import resource, sys, torch
from unseen.machine import use_cores
if sys.argv[1] == "keep":
    use_cores(1)
    assert torch.get_num_threads() == 1
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(40):
        torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's allocator")
def test_freed_memory_is_kept() -> None:
    assert _faults("keep") < 100 < 1000 < _faults("give back")
