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
from linearsr.attention.one_pass import attend_at_once, read_tokens, sum_tokens, without_autocast
from linearsr.core.errors import ShapeError
from linearsr.core.triton_support import on_triton

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
        if not isinstance(other, LinearState):
            return NotImplemented
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
    """k: features φ(k) [B, H, N, D]; v: [B, H, N, E]. Sums over N. Raises ShapeError."""
    if k.ndim != 4 or 0 in k.shape or v.ndim != 4 or k.shape[:3] != v.shape[:3]:
        raise ShapeError(
            f"keys are {list(k.shape)} and values {list(v.shape)}; wanted [B, H, N, D] and [B, H, N, E] with at least one token"
        )
    wide = wide_dtype(k, v)
    with without_autocast(k):
        total = sum_blocks(k, v, wide, rectify=False) if _in_blocks(k, v) else sum_tokens(k, v, wide)
    return LinearState(total[..., :-1], total[..., -1:], k.shape[2])


def apply_state(q: Tensor, state: LinearState, *, eps: float = EPS) -> Tensor:
    """q: features φ(q) [B, H, N, D]. Returns [B, H, N, E] in float32 or float64, as the wider of q and the state.

    Raises ShapeError for a state of other pictures, heads or features.
    """
    if q.ndim != 4 or 0 in q.shape or (*q.shape[:2], q.shape[3]) != tuple(state.keys.shape[:3]):
        raise ShapeError(
            f"queries are {list(q.shape)} and the state's keys {list(state.keys.shape)}; wanted [B, H, N, D] and [B, H, D, 1]"
        )
    wide = wide_dtype(q, state.keys)
    with without_autocast(q):
        summary = torch.cat([state.key_values, state.keys], -1).to(wide) / state.tokens
        return read_blocks(q, summary, wide, eps, rectify=False) if _in_blocks(q, summary) else read_tokens(q, summary, eps)


def _attend(q: Tensor, k: Tensor, v: Tensor, eps: float, *, rectify: bool) -> Tensor:
    if q.ndim != 4 or 0 in q.shape or q.shape[:2] != k.shape[:2] or q.shape[-1] != k.shape[-1] or k.shape[:3] != v.shape[:3]:
        raise ShapeError(
            f"q, k, v are {list(q.shape)}, {list(k.shape)}, {list(v.shape)}; wanted [B, H, N, D] twice and [B, H, N, E]"
        )
    if on_triton(q):
        from linearsr.attention import triton_linear  # imports Triton, so not before a CUDA tensor has come

        if triton_linear.supports(q, k, v):
            if rectify and torch.is_autocast_enabled("cuda"):  # a norm leaves them in float32, which misses the tensor cores
                q, k = q.to(v.dtype), k.to(v.dtype)
            return triton_linear.triton_linear_attention(q, k, v, eps=eps, rectify=rectify)
    wide = wide_dtype(q, k, v)
    if not _eager_on_cpu(q):
        return attend_at_once(q, k, v, wide, eps, rectify)
    with torch.autocast("cpu", enabled=False):
        return ChunkedLinearAttention.apply(q, k, v, wide, eps, rectify)


def wide_dtype(*tensors: Tensor) -> torch.dtype:
    """The dtype to sum and divide in: at least float32."""
    wide = torch.float32
    for tensor in tensors:
        wide = torch.promote_types(wide, tensor.dtype)
    return wide


def _in_blocks(*tensors: Tensor) -> bool:
    """Blocks of a state record no gradients."""
    recording = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return _eager_on_cpu(tensors[0]) and not recording


def _eager_on_cpu(x: Tensor) -> bool:
    """Where blocks pay. A compiled loop would be tied to one number of tokens, and torch.func sees no buffers."""
    transformed = torch._C._are_functorch_transforms_active()
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and not transformed
