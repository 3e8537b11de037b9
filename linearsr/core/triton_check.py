"""Whether Triton works on a CUDA device; it is imported only where it may."""

from __future__ import annotations

import os
import warnings
from functools import cache
from importlib.util import find_spec

import torch

SWITCH = "LINEARSR_TRITON"
"""Environment variable: 0 leaves all work to torch's own operations."""
OLDEST_CARD = (8, 0)
"""Ampere: the first with bfloat16 on tensor cores."""


@torch.compiler.assume_constant_result
def triton_works(device_index: int) -> bool:
    """Whether Triton is installed, not switched off, and compiles and launches a kernel on this device; found out once.

    A kernel that fails is a UserWarning with the reason. No Triton, or an older card than OLDEST_CARD, is nothing to mend.
    """
    return _works(device_index)


@cache
def _works(device_index: int) -> bool:
    if os.environ.get(SWITCH) == "0" or find_spec("triton") is None:
        return False
    if torch.cuda.get_device_capability(device_index) < OLDEST_CARD:
        return False
    try:
        from linearsr.core.triton_probe import launch

        launch(torch.device("cuda", device_index))
    except Exception as error:  # whatever a compiler, an assembler or a driver raises: torch can do the work
        warnings.warn(
            f"Triton is installed and does not work on cuda:{device_index} ({type(error).__name__}: {error}); torch's own "
            f"operations do the work, slower; {SWITCH}=0 does without Triton and without this warning",
            stacklevel=2,
        )
        return False
    return True
