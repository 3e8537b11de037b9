"""What every schedule refuses, said once: numbers out of range, and times in a type too coarse for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from linearsr.core.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def require_positive(value: float, key: str) -> float:
    """`value` as a float. Raises ConfigError unless it is a finite number above 0; key: what the user sets."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{key} is {value!r}; wanted a finite number above 0; change {key}")
    return float(value)


def require_finite(value: float, key: str) -> float:
    """`value` as a float. Raises ConfigError unless it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{key} is {value!r}; wanted a finite number; change {key}")
    return float(value)


def require_count(value: int, key: str, at_least: int = 1) -> int:
    """Raises ConfigError unless `value` is a whole number of at least `at_least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ConfigError(f"{key} is {value!r}; wanted a whole number of at least {at_least}; change {key}")
    return value


def require_exact_times(t: Tensor) -> Tensor:
    """Raises ShapeError for times that are no float32 or float64: near t = 0.875 the spacing of bfloat16 is 0.004."""
    if t.dtype not in (torch.float32, torch.float64):
        raise ShapeError(f"t is {t.dtype}; wanted float32 or float64; keep t out of autocast and of .to(dtype)")
    return t
