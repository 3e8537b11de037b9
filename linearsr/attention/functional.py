"""Linear attention as pure functions.

    o_i = φ(q_i) S / (φ(q_i) n + eps),   S = 1/N Σ_j φ(k_j)ᵀ v_j,   n = 1/N Σ_j φ(k_j)ᵀ

B pictures, H heads, N tokens, D width of a query's and a key's features, E width of a value. (LinearSR; the maths is Sana's.)
S and n are sums over tokens, so a picture may be summed tile by tile: `state + state`, then `apply_state` on each tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from linearsr.core.errors import ShapeError

EPS = 1e-15
"""Sana's; it is 0 in float16, so it is added in at least float32."""
CHUNK = 512
"""Tokens worked on at a time without gradients; a chunk's keys and products stay in the cache of a CPU core (our choice)."""


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
    return linear_attention(q.relu(), k.relu(), v, eps=eps)


def linear_attention(q: Tensor, k: Tensor, v: Tensor, *, eps: float = EPS) -> Tensor:
    """As `relu_linear_attention`, for features φ(q), φ(k) that are computed already and nowhere negative."""
    if q.ndim != 4 or 0 in q.shape or q.shape[:2] != k.shape[:2] or q.shape[-1] != k.shape[-1] or k.shape[:3] != v.shape[:3]:
        raise ShapeError(
            f"q, k, v are {list(q.shape)}, {list(k.shape)}, {list(v.shape)}; wanted [B, H, N, D] twice and [B, H, N, E]"
        )
    return apply_state(q, sum_state(k, v), eps=eps).to(v.dtype)


def sum_state(k: Tensor, v: Tensor) -> LinearState:
    """k: features φ(k) [B, H, N, D]; v: [B, H, N, E]. Sums over N."""
    wide = wide_dtype(k, v)
    with torch.autocast(k.device.type, enabled=False):
        key_values, keys = None, None
        for part in _chunks(k.shape[2], k, v):
            features = k[:, :, part].to(wide)
            product = features.transpose(-1, -2) @ v[:, :, part].to(wide)
            total = features.sum(-2).unsqueeze(-1)
            key_values = product if key_values is None else key_values + product
            keys = total if keys is None else keys + total
    if key_values is None or keys is None:
        raise ShapeError(f"keys are {list(k.shape)}; wanted at least one token")
    return LinearState(key_values, keys, k.shape[2])


def apply_state(q: Tensor, state: LinearState, *, eps: float = EPS) -> Tensor:
    """q: features φ(q) [B, H, N, D]. Returns [B, H, N, E] in float32 or float64, as the wider of q and the state.

    What was worked on in chunks lies token by token in memory, so that joining the heads copies nothing.
    """
    wide = wide_dtype(q, state.keys)
    with torch.autocast(q.device.type, enabled=False):
        values = state.key_values.to(wide) / state.tokens
        normaliser = state.keys.to(wide) / state.tokens
        outputs = []
        for part in _chunks(q.shape[2], q, values):
            features = q[:, :, part].to(wide)
            share = (features @ values) / (features @ normaliser + eps)
            outputs.append(share.transpose(1, 2))
        joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
    return joined.transpose(1, 2)


def wide_dtype(*tensors: Tensor) -> torch.dtype:
    """The dtype to sum and divide in: at least float32."""
    wide = torch.float32
    for tensor in tensors:
        wide = torch.promote_types(wide, tensor.dtype)
    return wide


def _chunks(tokens: int, *tensors: Tensor) -> list[slice]:
    """Chunks pay on a CPU without gradients; elsewhere one pass over everything is faster.

    Compiled code gets one pass too: a loop would tie it to one number of tokens, and be compiled again for each picture.
    """
    recording = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    if tokens and (recording or tensors[0].device.type != "cpu" or torch.compiler.is_compiling()):
        return [slice(0, tokens)]
    return [slice(start, min(start + CHUNK, tokens)) for start in range(0, tokens, CHUNK)]
