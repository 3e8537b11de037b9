"""Freed memory stays with the process: photo after photo, pages given back and fetched again cost a third of the loading."""

from __future__ import annotations

import ctypes
import os
from typing import Final

KEPT: Final = {-3: 64 * 2**20, -1: 128 * 2**20}
"""mallopt's M_MMAP_THRESHOLD: smaller blocks, such as a photo of five megapixels as floats, come out of the heap; and
M_TRIM_THRESHOLD: this much free memory at the top of the heap is kept. A process holds at most that much more."""
OWN: Final = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which the user has decided."""


def keep_freed_memory() -> bool:
    """For this process and those that it forks. False, and nothing done, where the user has decided otherwise or the C library
    is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None or any(name in os.environ for name in OWN):
        return False
    return min(mallopt(option, size) for option, size in KEPT.items()) == 1
