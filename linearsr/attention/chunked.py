"""Linear attention in two passes over blocks of tokens that fit a core's cache: the form for CPUs.

    forward     S' = 1/N Σ_j φ(k_j)ᵀ [v_j, 1]            the normaliser's sum is one more column
                [num_i, den_i] = φ(q_i) S'               o_i = num_i / (den_i + eps)
    backward    g_i = [do_i, −do_i·o_i] / (den_i + eps)  the gradient of [num_i, den_i]
                dφ(q_i) = g_i S'ᵀ                        dS' = Σ_i φ(q_i)ᵀ g_i
                dφ(k_j) = 1/N [v_j, 1] dS'ᵀ              dv_j = 1/N φ(k_j) dS', without its last column

B pictures, H heads, N tokens, D width of a query and key, E width of a value. Each block is copied once, in the dtype of
the sums, into a buffer that stays in the cache; what is kept for the way back is q, k, v and S'. (Our choice; the maths is
Sana's.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from linearsr.attention.one_pass import attend_at_once

BLOCK_BYTES = 2**21
"""Of the two buffers together; 1 to 4 MiB are alike on cores with 1 MiB of their own cache, more and less is slower."""
FEWEST_TOKENS = 128
"""Of a block of one picture: shorter products no longer fill the multiplier."""


def sum_blocks(k: Tensor, v: Tensor, wide: torch.dtype, rectify: bool) -> Tensor:
    """k [B, H, N, D], v [B, H, N, E] -> S'·N [B, H, D, E + 1] in `wide`. rectify: φ = ReLU, else k holds φ(k) already."""
    total = k.new_zeros(*k.shape[:2], k.shape[3], v.shape[3] + 1, dtype=wide)
    key_buffer, value_buffer = _buffer(k, v, wide), _buffer(v, k, wide, more=1)
    for pictures, tokens in _blocks(k, v):
        keys = _load(k[pictures, :, tokens], key_buffer, rectify)
        values = _load(v[pictures, :, tokens], value_buffer)
        values[..., -1].fill_(1)
        _flat(total[pictures]).baddbmm_(_flat(keys).transpose(1, 2), _flat(values))
    return total


def read_blocks(q: Tensor, summary: Tensor, dtype: torch.dtype, eps: float, rectify: bool) -> Tensor:
    """q [B, H, N, D]; summary S' [B, H, D, E + 1] -> [B, H, N, E] in `dtype`, which lies token by token in memory."""
    out = _token_major(q, summary.shape[3] - 1, dtype)
    query_buffer, result_buffer = _buffer(q, out, summary.dtype), _buffer(out, q, summary.dtype, more=1)
    for pictures, tokens in _blocks(q, out):
        queries = _load(q[pictures, :, tokens], query_buffer, rectify)
        result = _like(queries, result_buffer)
        torch.bmm(_flat(queries), _flat(summary[pictures]), out=_flat(result))
        torch.div(result[..., :-1], result[..., -1:].add_(eps), out=out[pictures, :, tokens])
    return out


class ChunkedLinearAttention(torch.autograd.Function):
    """`ChunkedLinearAttention.apply(q, k, v, wide, eps, rectify)` -> [B, H, N, E] in v's dtype.

    Where the gradient is itself to be differentiated (`create_graph=True`) it is made in one pass, which can be.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, wide: torch.dtype, eps: float, rectify: bool) -> Tensor:
        summary = sum_blocks(k, v, wide, rectify).div_(k.shape[2])
        ctx.save_for_backward(q, k, v, summary)
        ctx.eps, ctx.rectify = eps, rectify
        return read_blocks(q, summary, v.dtype, eps, rectify)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, summary = ctx.saved_tensors
        if torch.is_grad_enabled():
            out = attend_at_once(q, k, v, summary.dtype, ctx.eps, ctx.rectify)
            wanted = [x for x, needed in zip((q, k, v), ctx.needs_input_grad, strict=False) if needed]
            found = iter(torch.autograd.grad(out, wanted, gradients[0], create_graph=True))
            return *(next(found) if needed else None for needed in ctx.needs_input_grad[:3]), None, None, None
        dq, dsummary = _query_gradients(q, summary, gradients[0], ctx.eps, ctx.rectify)
        dk, dv = _key_gradients(k, v, dsummary.div_(k.shape[2]), ctx.rectify)
        return dq, dk, dv, None, None, None


def _query_gradients(q: Tensor, summary: Tensor, do: Tensor, eps: float, rectify: bool) -> tuple[Tensor, Tensor]:
    """dq [B, H, N, D] and dS' [B, H, D, E + 1]."""
    dq, dsummary = _token_major(q, q.shape[3], q.dtype), torch.zeros_like(summary)
    query_buffer, dquery_buffer = (_buffer(q, do, summary.dtype) for _ in range(2))
    result_buffer, g_buffer = (_buffer(do, q, summary.dtype, more=1) for _ in range(2))
    for pictures, tokens in _blocks(q, do):
        queries = _load(q[pictures, :, tokens], query_buffer, rectify)
        result, g = _like(queries, result_buffer), _load(do[pictures, :, tokens], g_buffer)
        torch.bmm(_flat(queries), _flat(summary[pictures]), out=_flat(result))
        denominator = result[..., -1:].add_(eps)
        g[..., :-1].div_(denominator)
        share = result[..., :-1].mul_(g[..., :-1]).sum(-1, keepdim=True)
        torch.div(share, denominator, out=g[..., -1:]).neg_()
        _flat(dsummary[pictures]).baddbmm_(_flat(queries).transpose(1, 2), _flat(g))
        dqueries = _like(queries, dquery_buffer)
        torch.bmm(_flat(g), _flat(summary[pictures]).transpose(1, 2), out=_flat(dqueries))
        _store(dq[pictures, :, tokens], dqueries, queries, rectify)
    return dq, dsummary


def _key_gradients(k: Tensor, v: Tensor, dsummary: Tensor, rectify: bool) -> tuple[Tensor, Tensor]:
    """dk [B, H, N, D] and dv [B, H, N, E], from dS'/N."""
    dk, dv = _token_major(k, k.shape[3], k.dtype), _token_major(v, v.shape[3], v.dtype)
    key_buffer, dkey_buffer = (_buffer(k, v, dsummary.dtype) for _ in range(2))
    value_buffer = _buffer(v, k, dsummary.dtype, more=1)
    for pictures, tokens in _blocks(k, v):
        keys = _load(k[pictures, :, tokens], key_buffer, rectify)
        values, dkeys = _load(v[pictures, :, tokens], value_buffer), _like(keys, dkey_buffer)
        values[..., -1].fill_(1)
        torch.bmm(_flat(values), _flat(dsummary[pictures]).transpose(1, 2), out=_flat(dkeys))
        torch.bmm(_flat(keys), _flat(dsummary[pictures]), out=_flat(values))  # the values have been read
        _store(dk[pictures, :, tokens], dkeys, keys, rectify)
        dv[pictures, :, tokens] = values[..., :-1]
    return dk, dv


def _store(out: Tensor, gradient: Tensor, features: Tensor, rectify: bool) -> None:
    """The gradient before φ = ReLU from that behind it; as it is where φ is not ours."""
    if rectify and out.dtype == gradient.dtype:
        torch.ops.aten.threshold_backward.grad_input(gradient, features, 0, grad_input=out)
    elif rectify:
        out.copy_(torch.ops.aten.threshold_backward.grad_input(gradient, features, 0, grad_input=gradient))
    else:
        out.copy_(gradient)


def _blocks(x: Tensor, y: Tensor) -> Iterator[tuple[slice, slice]]:
    """Pictures and tokens of each block of two tensors [B, H, N, ·] that are worked on together."""
    pictures, tokens = _block_shape(x, y)
    for first in range(0, x.shape[0], pictures):
        for start in range(0, x.shape[2], tokens):
            yield slice(first, first + pictures), slice(start, start + tokens)


def _block_shape(x: Tensor, y: Tensor) -> tuple[int, int]:
    token_bytes = 4 * x.shape[1] * (x.shape[3] + y.shape[3] + 1)
    tokens = min(x.shape[2], max(FEWEST_TOKENS, BLOCK_BYTES // token_bytes))
    return min(x.shape[0], max(1, BLOCK_BYTES // (token_bytes * tokens))), tokens


def _buffer(x: Tensor, y: Tensor, dtype: torch.dtype, more: int = 0) -> Tensor:
    """Room for a block of x [B, H, N, D], with `more` columns."""
    pictures, tokens = _block_shape(x, y)
    return x.new_empty(pictures * x.shape[1] * tokens * (x.shape[3] + more), dtype=dtype).view(-1, x.shape[3] + more)


def _load(x: Tensor, buffer: Tensor, rectify: bool = False) -> Tensor:
    """A block [b, H, n, D] in the buffer, whose further columns are left as they are."""
    block = _like(x, buffer)
    own = block[..., : x.shape[-1]]
    if not rectify:
        own.copy_(x)
    elif x.dtype == block.dtype:
        torch.clamp_min(x, 0, out=own)
    else:
        own.copy_(x).relu_()
    return block


def _like(x: Tensor, buffer: Tensor) -> Tensor:
    """As many rows of the buffer as the block x [b, H, n, ·] has, in its shape."""
    rows = x.shape[:-1]
    return buffer[: rows.numel()].view(*rows, buffer.shape[-1])


def _flat(x: Tensor) -> Tensor:
    """[b, H, ·, ·] -> a view [b·H, ·, ·]."""
    return x.view(-1, *x.shape[2:])


def _token_major(like: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """An empty [B, H, N, width] that joins its heads without a copy."""
    batch, heads, tokens = like.shape[:3]
    return like.new_empty(batch, tokens, heads, width, dtype=dtype).transpose(1, 2)
