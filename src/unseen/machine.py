"""How a process uses the machine it runs on."""

import ctypes
import sys

import torch

# glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def device_of(name: str) -> str:
    """The device of a name in a configuration: `auto` is a GPU if there is one."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def use_cores(threads: int) -> None:
    """Compute with so many threads, and keep freed memory for the next step.

    By default glibc gives every large tensor back to the system when it is freed, and the system
    clears the same pages again for the next one. A step of the preset `demo` took 15% longer for
    that, and 40% with other processes at work beside it. Elsewhere than on glibc, only the threads
    are set.
    """
    torch.set_num_threads(threads)
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
