"""What a preset may hold, so that whatever is drawn from it can be carried out."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from linearsr.core.errors import ConfigError

if TYPE_CHECKING:
    from linearsr.core.data.degradations.presets import Preset

ABOVE_0 = math.ulp(0.0)
LIMITS = {
    "blur_sigma": (ABOVE_0, math.inf),
    "beta": (ABOVE_0, math.inf),
    "resize": (ABOVE_0, math.inf),
    "gaussian_noise": (0, math.inf),
    "poisson_noise": (0, math.inf),
    "jpeg": (1, 100),
}
"""How the name of a range begins -> the lowest and the highest value that it may hold."""


def check_preset(preset: Preset) -> None:
    """Raises ConfigError, which names the field, what it holds and what is wanted."""
    for field in fields(preset):
        value = getattr(preset, field.name)
        if field.type == "Range":
            _check_range(field.name, value)
        elif field.type == "float" and not (_is_number(value) and 0 <= value <= 1):
            raise ConfigError(f"degradation: {field.name} is {value!r}; wanted a probability in 0..1")
    for name, count in (("families", 6), ("resize_up_down_keep_1", 3), ("resize_up_down_keep_2", 3)):
        value = getattr(preset, name)
        if not (_are_numbers(value, count) and min(value) >= 0 and abs(sum(value) - 1) < 1e-6):
            raise ConfigError(f"degradation: {name} is {value!r}; wanted {count} probabilities that sum to 1")
    sizes = preset.kernel_sizes
    if not (isinstance(sizes, tuple) and sizes and all(type(size) is int and size >= 3 and size % 2 for size in sizes)):
        raise ConfigError(f"degradation: kernel_sizes is {sizes!r}; wanted odd numbers ≥ 3")


def _check_range(name: str, value: Any) -> None:
    low, high = next(limits for start, limits in LIMITS.items() if name.startswith(start))
    if not (_are_numbers(value, 2) and low <= value[0] <= value[1] <= high and value[1] < math.inf):
        within = {ABOVE_0: "above 0", 0: "both ≥ 0"}.get(low, f"within {low}..{high}")
        raise ConfigError(f"degradation: {name} is {value!r}; wanted (lowest, highest), {within}")
    if name.startswith("jpeg") and not all(float(quality).is_integer() for quality in value):
        raise ConfigError(f"degradation: {name} is {value!r}; wanted whole numbers")
    if name.startswith(("beta", "resize")) and not value[0] <= 1 <= value[1]:
        raise ConfigError(f"degradation: {name} is {value!r}; wanted (lowest, highest) with 1 between them or one of them")


def _are_numbers(value: Any, count: int) -> bool:
    return isinstance(value, tuple) and len(value) == count and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
