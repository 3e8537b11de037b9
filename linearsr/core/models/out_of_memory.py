"""Work that may run out of memory and can be done again with less."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

SAID = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",  # on Windows
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""In a RuntimeError without a class of its own."""

Result = TypeVar("Result")


def until_it_fits(work: Callable[[], Result], need_less: Callable[[str], None]) -> Result:
    """`work()`, again from its beginning after each time that memory ran out.

    need_less(what torch said): called in between, when nothing that the failed work had made is alive any more; an error that
    it raises ends the matter. work: must not have changed anything by then.
    """
    while True:
        try:
            return work()
        except RuntimeError as error:
            if not ran_out(error):
                raise
            said = str(error).strip().partition("\n")[0]
        torch.cuda.empty_cache()
        need_less(said)  # not where the error is handled: its traceback holds every tensor of the frames that it passed


def ran_out(error: RuntimeError) -> bool:
    """Whether it says that an allocator of torch's, or of a library beneath it, had no memory."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in SAID)
