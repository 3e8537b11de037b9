"""Freed memory stays with the process: photo after photo, pages given back and fetched again cost a third of the loading."""

from __future__ import annotations

import ctypes
import os
from typing import Final

MMAP_THRESHOLD: Final = -3
TRIM_THRESHOLD: Final = -1
"""Options of mallopt."""
FROM_THE_HEAP: Final = 32 * 2**20
"""Bytes of a block that still comes out of the heap: a photo of 2.7 megapixels as floats; the most that older releases take."""
KEPT: Final = 128 * 2**20
"""Bytes of free memory at the top of the heap that stay; holes below it may stay too."""
OWN: Final = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which the user has decided."""


def keep_freed_memory() -> bool:
    """For this process and those that it forks. False, and nothing done, where the user has decided otherwise or the C library
    is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None or any(name in os.environ for name in OWN):
        return False
    return mallopt(MMAP_THRESHOLD, FROM_THE_HEAP) == 1 and mallopt(TRIM_THRESHOLD, KEPT) == 1
