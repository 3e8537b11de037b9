"""The smallest Triton kernel: what fails for it fails for all. Importing this file imports Triton."""

# mypy: allow-untyped-defs, allow-incomplete-defs

import torch
import triton
import triton.language as tl


@triton.jit
def probe_kernel(out):
    tl.store(out, 1.0)


def launch(device: torch.device) -> torch.Tensor:
    """Compiles the kernel, with the C code that launches it, loads and launches it. Returns its output [1], which is 1.

    Nothing is read back, so that a CUDA graph that is being captured does not break.
    """
    out = torch.empty(1, device=device)
    with torch.cuda.device_of(out):
        probe_kernel[(1,)](out, enable_fp_fusion=True)  # said, because Triton warns of its default
    return out
