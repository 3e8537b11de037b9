"""Bicubic resizing of plain tensors; shared by rooms that must not import one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linearsr.core.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def resize_bicubic(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Keys' cubic with a = −0.5, widened by the scale where a side shrinks (antialiased), edges by renormalised weights.

    image: float [B, C, H, W], any range; size: (height, width) in pixels, each ≥ 1. Returns [B, C, *size] in image's dtype.
    16-bit floats are computed in float32. Not clamped (the cubic overshoots at edges), not rounded.
    The kernel is Pillow's `BICUBIC`; torch's without `antialias=True` has a = −0.75, which reads 0.2 dB more on Set5.
    Raises ShapeError for any other shape, for integers or for an empty size.
    """
    import torch
    import torch.nn.functional as F

    if image.ndim != 4 or min(image.shape[-2:]) < 1 or not image.is_floating_point():
        raise ShapeError(f"image is {image.dtype} {list(image.shape)}; wanted a float [B, C, H, W] with H, W ≥ 1")
    if len(size) != 2 or min(size) < 1:
        raise ShapeError(f"cannot resize to {tuple(size)}; wanted (height, width), each ≥ 1")
    if tuple(image.shape[-2:]) == tuple(size):
        return image.clone()
    wide = image.to(torch.promote_types(image.dtype, torch.float32))
    if size[1] == 1:  # torch 2.13 on the CPU returns wrong rows for a width of 1; for a height of 1 it is right
        turned = F.interpolate(wide.transpose(-1, -2).contiguous(), size=(1, size[0]), mode="bicubic", antialias=True)
        return turned.transpose(-1, -2).contiguous().to(image.dtype)
    return F.interpolate(wide, size=tuple(size), mode="bicubic", antialias=True).to(image.dtype)
