"""Focused linear attention: features pushed towards their largest entries, and a local branch for what is still too smooth."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from linearsr.attention.feature_map import FeatureMapAttention
from linearsr.attention.functional import linear_attention, wide_dtype
from linearsr.attention.local_branch import LocalBranch, depthwise_dense
from linearsr.attention.one_pass import without_autocast
from linearsr.attention.reference import linear_attention_dense
from linearsr.core.registries import ATTENTION
from linearsr.core.values import require_finite


@ATTENTION.register_module()
class FocusedLinearAttention(FeatureMapAttention):
    """φ_p(q) Σ φ_p(k)ᵀ v / (φ_p(q) Σ φ_p(k)ᵀ) + depthwise(v), φ_p as in `focus` (FLatten Transformer, Han et al. 2023).

    Cost: 2·N·D² of the sums and N·D·k² of the branch, a head. The norms in φ_p are those of one head, as in the paper. What
    only the authors' code has is left out: a position encoding of keys, fixed to one resolution, and a learned scale.

    power:  p ≥ 1, the paper's 3; 1 is ReLU linear attention, and a power below has no gradient at 0
    kernel: k, odd, of the depthwise convolution [1, D, k, k], whose kernels all heads share; the paper's 5
    """

    permutation_equivariant = False

    def __init__(self, dim: int, num_heads: int, *, power: float = 3.0, kernel: int = 5, qk_norm: bool = False):
        super().__init__(dim, num_heads, qk_norm=qk_norm)
        self.power = require_finite(power, "attention.power", at_least=1)
        self.local = LocalBranch(1, dim // num_heads, kernel)
        self.halo = self.local.reach

    def features(self, x: Tensor) -> Tensor:
        return focus(x, self.power)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return (linear_attention(self.features(q), self.features(k), v) + self.local(v, grid)).to(v.dtype)

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return (linear_attention_dense(self.features(q), self.features(k), v) + self.local(v, grid, depthwise_dense)).to(
            v.dtype
        )

    def attend(self, x: Tensor, state: Any, grid: tuple[int, int]) -> Tensor:
        v = self.heads(F.linear(x, self.qkv.weight[2 * self.dim :]))
        return self.join((self.read(self.queries(x, grid), state) + self.local(v, grid)).to(v.dtype))


def focus(x: Tensor, power: float) -> Tensor:
    """φ_p(x) = ‖y‖/‖y^p‖ · y^p with y = ReLU(x): the norm stays, the large entries gain (Han et al. 2023, "focus ability").

    x [..., D]. Returns [..., D] in at least float32. A row without a positive entry gives exactly 0, with a finite gradient.
    """
    with without_autocast(x):
        y = x.to(wide_dtype(x)).relu()
        # φ_p(y) = s·φ_p(y/s) for any s > 0: with the largest entry as s, no square or power leaves the range of numbers
        largest = y.detach().amax(-1, keepdim=True)
        scale = torch.where(largest > 0, largest, 1)
        unit = y / scale
        powered = unit**power
        norm, powered_norm = (torch.linalg.vector_norm(row, dim=-1, keepdim=True) for row in (unit, powered))
        return scale * norm * powered / torch.where(powered_norm > 0, powered_norm, 1)
