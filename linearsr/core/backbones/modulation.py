"""Adaptive layer norm with one shared time block (AdaLN-single, PixArt-α and Sana)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6
"""Of every layer norm here (Sana)."""


def scale_shift_table(rows: int, dim: int) -> nn.Parameter:
    """[rows, dim], drawn as randn/√dim (Sana)."""
    return nn.Parameter(torch.randn(rows, dim) / dim**0.5)


def modulated_norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """LayerNorm(x)·(1 + scale) + shift. x [B, N, D]; shift, scale [B, D], or [1, D] for one time in the whole batch.

    One time: the modulation is the norm's own affine, in the same pass over memory.
    """
    width = x.shape[-1:]
    if scale.shape[0] == 1:
        return F.layer_norm(x, width, 1 + scale[0], shift[0], EPS)
    return torch.addcmul(shift[:, None], F.layer_norm(x, width, eps=EPS), 1 + scale[:, None])


def gated_residual(x: Tensor, gate: Tensor, update: Tensor) -> Tensor:
    """x + gate·update. x, update [B, N, D]; gate [B, D] or [1, D]."""
    return torch.addcmul(x, gate[:, None], update)
