"""Whether a tensor goes to the Triton kernels. Work on a CPU imports neither Triton nor torch's compiler."""

from __future__ import annotations

import torch
from torch import Tensor


def on_triton(x: Tensor) -> bool:
    """Whether x lies on a CUDA device on which Triton works."""
    if not x.is_cuda:
        return False
    from linearsr.core.triton_check import triton_works  # imports torch's compiler, which takes a second

    return triton_works(x.get_device())


def processors(device: torch.device) -> int:
    """Streaming multiprocessors of the card; 1 for Triton's interpreter."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
