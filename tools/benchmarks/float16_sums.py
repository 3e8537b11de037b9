"""Linear attention whose sums over tokens are those of float16, as collapse.py provokes a collapse with."""

from __future__ import annotations

import torch
from torch import Tensor

from linearsr.attention import ReLULinearAttention
from linearsr.attention.functional import EPS
from linearsr.core.values import require_bool


class Float16Sums(ReLULinearAttention):
    """o_i = φ(q_i) S / (φ(q_i) n + eps), φ = ReLU, with S, n and both products with φ(q_i) rounded to float16.

    divided: S = 1/N Σ_j φ(k_j)ᵀ v_j and n = 1/N Σ_j φ(k_j)ᵀ as our other kernels have them; else the bare sums, which leave
             float16's range for queries and keys of scale 16/8/4/2/1 at N = 64/256/1024/4096/16384 (32 wide heads)
    Rounds in training alone, as precision does in every run here: a validation measures the weights. Else as its base: products
    are summed, divided and differentiated in float32 and eps is not rounded, so nothing but these sums can overflow.
    """

    def __init__(self, dim: int, num_heads: int, *, qk_norm: bool = False, divided: bool = False):
        super().__init__(dim, num_heads, qk_norm=qk_norm)
        self.divided = require_bool(divided, "attention.divided")

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return float16_sums_attention(q, k, v, divided=self.divided) if self.training else super().mix(q, k, v, grid)


def float16_sums_attention(q: Tensor, k: Tensor, v: Tensor, *, divided: bool, eps: float = EPS) -> Tensor:
    """q, k: [B, H, N, D]; v: [B, H, N, E], float32. Returns [B, H, N, E], NaN where numerator and denominator overflow."""
    with torch.autocast(q.device.type, enabled=False):
        queries, keys = q.float().relu(), k.float().relu()
        values = torch.cat([v.float(), torch.ones_like(v[..., :1], dtype=torch.float32)], -1)
        state = keys.transpose(-1, -2) @ values
        result = round_to_float16(queries @ round_to_float16(state / k.shape[2] if divided else state))
        return (result[..., :-1] / (result[..., -1:] + eps)).to(v.dtype)


def round_to_float16(x: Tensor) -> Tensor:
    """float32 values of float16's range and precision; infinite beyond 65504. The gradient passes as if nothing was rounded."""
    return x + (x.half().float() - x).detach()
