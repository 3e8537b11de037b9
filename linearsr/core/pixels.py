"""Between float pictures in 0..1 and the 256 levels that a file holds. One rounding rule for all rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def round_to_8bit(image_01: Tensor) -> Tensor:
    """Clamped to 0..1 and moved to the nearest k/255, ties to even k. Any shape; same float dtype; NaN stays NaN."""
    return (image_01.clamp(0, 1) * 255).round() / 255


def to_uint8(image_01: Tensor) -> Tensor:
    """Levels 0..255 as torch.uint8, of any shape. Rounds as `round_to_8bit`; NaN becomes 0."""
    return (image_01.nan_to_num(nan=0.0).clamp(0, 1) * 255).round().byte()


def from_uint8(levels: Tensor) -> Tensor:
    """Levels 0..255 to float32 in 0..1; `to_uint8` undoes it exactly."""
    return levels.float() / 255
