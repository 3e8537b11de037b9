"""ReLU linear attention at several scales: more heads, whose tokens are weighted sums of their neighbourhoods."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import einsum
from torch import Tensor, nn

from linearsr.attention.additive import NO_MARGIN, AdditiveAttention, Margin, without_margin
from linearsr.attention.functional import LinearState, apply_state, relu_linear_attention, sum_state
from linearsr.attention.local_branch import Convolve, LocalBranch, depthwise, depthwise_dense
from linearsr.attention.one_pass import without_autocast
from linearsr.attention.reference import relu_linear_attention_dense
from linearsr.core.errors import ConfigError
from linearsr.core.registries import ATTENTION
from linearsr.core.values import require_odd


class Aggregation(nn.Module):
    """One scale of the queries, keys or values: a depthwise k×k convolution, then a matrix for each head (groups of a 1×1)."""

    def __init__(self, num_heads: int, width: int, kernel: int):
        super().__init__()
        self.depthwise = LocalBranch(num_heads, width, kernel)
        self.pointwise = nn.Parameter(torch.empty(num_heads, width, width).uniform_(-(width**-0.5), width**-0.5))  # Conv2d's

    def forward(self, heads: Tensor, grid: tuple[int, int], convolve: Convolve = depthwise) -> Tensor:
        """heads [B, H, N, D]. Returns [B, H, N, D] in at least float32."""
        mixed = self.depthwise(heads, grid, convolve)
        with without_autocast(heads):
            return einsum(mixed, self.pointwise.to(mixed.dtype), "b h n i, h i o -> b h n o")


@ATTENTION.register_module()
class MultiScaleReLULinearAttention(AdditiveAttention):
    """ReLU linear attention over H heads of the tokens and H more of each scale, (1+S)·H in all, projected (1+S)·C -> C.

    A scale's queries, keys and values are those of the tokens through `Aggregation` (EfficientViT, Cai et al. 2023;
    DC-AE, Chen et al. 2024), where each head of each of the three has kernels and a matrix of its own. A scale costs
    3·N·C·(k² + D), and each of all heads 2·N·D² as in ReLU linear attention.

    scales: the k of each, odd, in tokens; the paper's (5,)
    """

    linear = True

    def __init__(self, dim: int, num_heads: int, *, scales: Sequence[int] = (5,), qk_norm: bool = False):
        super().__init__(dim, num_heads, qk_norm=qk_norm)
        kernels, width = odd_scales(scales), dim // num_heads
        self.query_scales, self.key_scales, self.value_scales = (
            nn.ModuleList(Aggregation(num_heads, width, kernel) for kernel in kernels) for _ in range(3)
        )
        self.proj = nn.Linear((1 + len(kernels)) * dim, dim)
        self.halo = max(kernels, default=0) // 2

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        """q, k, v [B, H, N, D]. Returns [B, (1+S)·H, N, D]: head s·H + h is the h-th at scale s."""
        return relu_linear_attention(*self.all_heads(q, k, v, grid)).to(v.dtype)

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return relu_linear_attention_dense(*self.all_heads(q, k, v, grid, depthwise_dense)).to(v.dtype)

    def all_heads(
        self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int], convolve: Convolve = depthwise
    ) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v [B, H, N, D] -> three [B, (1+S)·H, N, D]."""
        roles = (q, self.query_scales), (k, self.key_scales), (v, self.value_scales)
        q, k, v = (with_scales(heads, scales, grid, convolve) for heads, scales in roles)
        return q, k, v

    def summarise(self, k: Tensor, v: Tensor) -> LinearState:
        """k, v [B, (1+S)·H, N, D]: of all scales."""
        return sum_state(k.relu(), v)

    def read(self, q: Tensor, state: LinearState) -> Tensor:
        return apply_state(q.relu(), state).to(q.dtype)

    def state(self, x: Tensor, grid: tuple[int, int], margin: Margin = NO_MARGIN) -> LinearState:
        k, v = self.keys_values(x, grid)
        k, v = with_scales(k, self.key_scales, grid), with_scales(v, self.value_scales, grid)
        return self.summarise(without_margin(k, grid, margin), without_margin(v, grid, margin))

    def attend(self, x: Tensor, state: LinearState, grid: tuple[int, int]) -> Tensor:
        q = self.queries(x, grid)
        return self.join(self.read(with_scales(q, self.query_scales, grid), state).to(q.dtype))


def odd_scales(scales: Sequence[int]) -> list[int]:
    """`scales` of a config. Raises ConfigError."""
    if isinstance(scales, str) or not isinstance(scales, Sequence):
        raise ConfigError(f"attention.scales is {scales!r}; wanted a list of odd whole numbers; change attention.scales")
    return [require_odd(kernel, f"attention.scales[{place}]") for place, kernel in enumerate(scales)]


def with_scales(heads: Tensor, scales: nn.ModuleList, grid: tuple[int, int], convolve: Convolve = depthwise) -> Tensor:
    """heads [B, H, N, D] -> [B, (1+S)·H, N, D], in at least float32 where there is a scale."""
    return torch.cat([heads, *(scale(heads, grid, convolve) for scale in scales)], 1)
