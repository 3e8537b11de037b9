"""What every schedule refuses, said once: numbers out of range, and times in a type too coarse for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from linearsr.core.errors import ShapeError
from linearsr.core.values import require_count, require_finite, require_positive

if TYPE_CHECKING:
    from torch import Tensor


__all__ = ["require_count", "require_exact_times", "require_finite", "require_positive"]


def require_exact_times(t: Tensor) -> Tensor:
    """Raises ShapeError for times that are no float32 or float64: near t = 0.875 the spacing of bfloat16 is 0.004."""
    if t.dtype not in (torch.float32, torch.float64):
        raise ShapeError(f"t is {t.dtype}; wanted float32 or float64; keep t out of autocast and of .to(dtype)")
    return t
