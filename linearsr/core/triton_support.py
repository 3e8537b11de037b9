"""Whether this process can use Triton kernels on a CUDA device; Triton itself is imported only once such a device has asked."""

from __future__ import annotations

import os
import warnings
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

SWITCH = "LINEARSR_TRITON"
"""Environment variable: 0 leaves all work to torch's own operations."""
OLDEST_CARD = (8, 0)
"""Ampere: the first with bfloat16 on tensor cores."""


def on_triton(x: Tensor) -> bool:
    """Whether kernels may be asked about x: it lies on a CUDA device on which Triton works."""
    return x.is_cuda and triton_works(x.get_device())


@torch.compiler.assume_constant_result
def triton_works(device_index: int) -> bool:
    """Whether Triton is installed, not switched off, and compiles and launches a kernel on this device; found out once.

    A kernel that fails is a UserWarning with the reason: a card that is too old, or no Triton, is nothing to mend.
    """
    return _works(device_index)


@cache
def _works(device_index: int) -> bool:
    if os.environ.get(SWITCH) == "0" or find_spec("triton") is None:
        return False
    if torch.cuda.get_device_capability(device_index) < OLDEST_CARD:
        return False
    try:
        from linearsr.core.triton_probe import launch  # imports Triton

        launch(torch.device("cuda", device_index))
    except Exception as error:  # whatever a compiler, an assembler or a driver raises: torch can do the work
        reason = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"Triton is installed and does not work on cuda:{device_index} ({reason}); torch's own operations do the work, "
            f"slower; {SWITCH}=0 does without Triton and this warning",
            stacklevel=2,
        )
        return False
    return True


def processors(device: torch.device) -> int:
    """Streaming multiprocessors of the card; 1 for Triton's interpreter."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
