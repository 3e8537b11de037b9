"""Linear attention as pure functions.

    o_i = φ(q_i) S / (φ(q_i) n + eps),   S = 1/N Σ_j φ(k_j)ᵀ v_j,   n = 1/N Σ_j φ(k_j)ᵀ

B pictures, H heads, N tokens, D width of a query's and a key's features, E width of a value. (LinearSR; the maths is Sana's.)
Computed in blocks that fit the cache on a CPU (`chunked`), by Triton on a GPU (`triton_linear`), else in one pass.
S and n are sums over tokens, so a picture may be summed tile by tile: `state + state`, then `apply_state` on each tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from linearsr.attention.chunked import ChunkedLinearAttention, read_blocks, sum_blocks
from linearsr.core.errors import ShapeError
from linearsr.core.triton_presence import HAS_TRITON

EPS = 1e-15
"""Sana's; it is 0 in float16, so it is added in at least float32."""


@dataclass(frozen=True)
class LinearState:
    """What all tokens tell each query; states of disjoint tokens add.

    key_values: Σ φ(k)ᵀ v [B, H, D, E];  keys: Σ φ(k)ᵀ [B, H, D, 1];  both float32 or float64
    tokens:     how many were summed; apply_state divides by it, which keeps later products in range
    """

    key_values: Tensor
    keys: Tensor
    tokens: int

    def __add__(self, other: LinearState) -> LinearState:
        return LinearState(self.key_values + other.key_values, self.keys + other.keys, self.tokens + other.tokens)


def relu_linear_attention(q: Tensor, k: Tensor, v: Tensor, *, eps: float = EPS) -> Tensor:
    """Linear attention with φ = ReLU. q, k: [B, H, N, D]; v: [B, H, N, E], any strides; there may be fewer or more queries.

    Returns [B, H, N, E] in v's dtype. Sums and the division are in float32, or float64 where an input is. A query without a
    positive entry gives exactly 0, with a finite gradient; so does a picture whose keys have none. Raises ShapeError.
    """
    return _attend(q, k, v, eps, rectify=True)


def linear_attention(q: Tensor, k: Tensor, v: Tensor, *, eps: float = EPS) -> Tensor:
    """As `relu_linear_attention`, for features φ(q), φ(k) that are computed already and nowhere negative."""
    return _attend(q, k, v, eps, rectify=False)


def sum_state(k: Tensor, v: Tensor) -> LinearState:
    """k: features φ(k) [B, H, N, D]; v: [B, H, N, E]. Sums over N."""
    if 0 in k.shape or k.shape[:3] != v.shape[:3]:
        raise ShapeError(
            f"keys are {list(k.shape)} and values {list(v.shape)}; wanted at least one token, and a value for each key"
        )
    wide = wide_dtype(k, v)
    with torch.autocast(k.device.type, enabled=False):
        if _in_blocks(k, v):
            total = sum_blocks(k, v, wide, rectify=False)
            return LinearState(total[..., :-1], total[..., -1:], k.shape[2])
        features = k.to(wide)
        return LinearState(features.transpose(-1, -2) @ v.to(wide), features.sum(-2).unsqueeze(-1), k.shape[2])


def apply_state(q: Tensor, state: LinearState, *, eps: float = EPS) -> Tensor:
    """q: features φ(q) [B, H, N, D]. Returns [B, H, N, E] in float32 or float64, as the wider of q and the state."""
    wide = wide_dtype(q, state.keys)
    with torch.autocast(q.device.type, enabled=False):
        summary = torch.cat([state.key_values, state.keys], -1).to(wide) / state.tokens
        if _in_blocks(q, summary):
            return read_blocks(q, summary, wide, eps, rectify=False)
        result = q.to(wide) @ summary
        return result[..., :-1] / (result[..., -1:] + eps)


def _attend(q: Tensor, k: Tensor, v: Tensor, eps: float, *, rectify: bool) -> Tensor:
    if q.ndim != 4 or 0 in q.shape or q.shape[:2] != k.shape[:2] or q.shape[-1] != k.shape[-1] or k.shape[:3] != v.shape[:3]:
        raise ShapeError(
            f"q, k, v are {list(q.shape)}, {list(k.shape)}, {list(v.shape)}; wanted [B, H, N, D] twice and [B, H, N, E]"
        )
    if q.is_cuda and HAS_TRITON:
        from linearsr.attention import triton_linear  # imports Triton, so not before a CUDA tensor has come

        if torch.is_autocast_enabled("cuda"):  # norms leave queries and keys in float32, which misses the tensor cores
            q, k = q.to(v.dtype), k.to(v.dtype)
        if triton_linear.supports(q, k, v):
            return triton_linear.triton_linear_attention(q, k, v, eps=eps, rectify=rectify)
    if q.device.type == "cpu" and not torch.compiler.is_compiling():
        with torch.autocast("cpu", enabled=False):
            return ChunkedLinearAttention.apply(q, k, v, wide_dtype(q, k, v), eps, rectify)
    if rectify:
        q, k = q.relu(), k.relu()
    return apply_state(q, sum_state(k, v), eps=eps).to(v.dtype)


def wide_dtype(*tensors: Tensor) -> torch.dtype:
    """The dtype to sum and divide in: at least float32."""
    wide = torch.float32
    for tensor in tensors:
        wide = torch.promote_types(wide, tensor.dtype)
    return wide


def _in_blocks(*tensors: Tensor) -> bool:
    """Blocks are for CPUs and record no gradients. Compiled code gets one pass: a loop would tie it to one number of tokens."""
    recording = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return tensors[0].device.type == "cpu" and not recording and not torch.compiler.is_compiling()
