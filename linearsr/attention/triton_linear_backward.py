"""Linear attention on a GPU, backward: from q, k, v, the state and do, nothing of the size of o having been kept.

With num_i = φ(q_i) S and den_i = φ(q_i) n + eps, o_i = num_i / den_i, and do_i the gradient of o_i:

    dnum_i = do_i / den_i                     dden_i = −(do_i · o_i) / den_i
    dφ(q_i) = dnum_i Sᵀ + dden_i nᵀ           = (do_i Sᵀ − (do_i · o_i) nᵀ) / den_i
    dS = Σ_i φ(q_i)ᵀ dnum_i                   = Σ_i (φ(q_i) / den_i)ᵀ do_i
    dn = Σ_i φ(q_i) dden_i                    = −Σ_i (φ(q_i) / den_i) (do_i · o_i)
    dφ(k_j) = (v_j dSᵀ + dn) / N              dv_j = φ(k_j) dS / N

On the right den_i has moved to where one factor of each matrix product is an input as it came, so that `dot_wide` loses
nothing of it. S and n (and dS and dn) nearly cancel where values share a large mean: o_i is computed once and serves both.
ReLU passes a gradient where its argument is positive: a row without a positive entry gets exactly 0, whatever 1/eps makes
of the rest. Not differentiable twice.

    kernel               grid         reads                        writes
    query_grads_kernel   B·H, parts   q, do once, the state        dq once; partials of (dS, dn) [parts, B·H, E + 1, D] float32
    key_grads_kernel     B·H, splits  k, v once, all partials      dk, dv once

The gradient of a state has a state's form: [E + 1, D], dn as the last row. Gradients of q, k and v lie token by token,
[B, N, H, D], whatever the strides of the inputs: where these are thirds of one product, autograd joins the three anyway, and
then copies whole rows of H·D numbers.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs

import triton
import triton.language as tl

from linearsr.attention.triton_linear_forward import (
    dot_wide,
    load_state,
    load_tile,
    rectified,
    store_state,
    store_tile,
    sum_partials,
)


@triton.jit
def rectified_gradient(gradient, x, RECTIFY: tl.constexpr):
    """The gradient of x, given that of φ(x)."""
    if RECTIFY:
        gradient = tl.where(x.to(tl.float32) <= 0, 0.0, gradient)
    return gradient


@triton.jit(do_not_specialize=["queries", "per_part"])
def query_grads_kernel(
    q,
    state,
    do,
    dq,
    partials,
    q_b,
    q_h,
    q_m,
    q_d,
    do_b,
    do_m,
    do_h,
    do_e,
    heads,
    queries,
    per_part,
    eps,
    D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_N: tl.constexpr,
    RECTIFY: tl.constexpr,
    TYPE: tl.constexpr,
):
    """One head's queries part · per_part … -> their gradients, and their share of the state's. do is [B, M, H, E]."""
    head, part = tl.program_id(0), tl.program_id(1)
    d, e = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_E)
    batch, own = (head // heads).to(tl.int64), (head % heads).to(tl.int64)
    q += batch * q_b + own * q_h
    do += batch * do_b + own * do_h
    dq += (batch * queries * heads + own) * D

    values, normaliser = load_state(state + head.to(tl.int64) * ((E + 1) * D), e, d, D, E, D)
    d_values = tl.full([BLOCK_E, BLOCK_D], 0.0, tl.float32)
    d_columns = tl.full([BLOCK_N, BLOCK_D], 0.0, tl.float32)  # dn, added up over the tile's rows only at the end
    first = part * per_part
    last = tl.minimum(first + per_part, queries)
    for start in range(first, last, BLOCK_N):
        m = start + tl.arange(0, BLOCK_N)
        raw = load_tile(q, m, d, q_m, q_d, last, D, TYPE)  # [M, D]
        d_out = load_tile(do, m, e, do_m, do_e, last, E, TYPE)  # [M, E]
        features = rectified(raw, RECTIFY)
        denominator = tl.sum(features.to(tl.float32) * normaliser[None, :], 1) + eps  # [M]
        scale = 1.0 / tl.where(m < last, denominator, 1.0)  # where there is no query, eps may be all of it: 0 · 1/eps is NaN
        out = dot_wide(features, tl.trans(values)) * scale[:, None]  # [M, E]
        agreement = tl.sum(d_out.to(tl.float32) * out, 1)  # do · o [M]

        d_features = (dot_wide(d_out, values) - agreement[:, None] * normaliser[None, :]) * scale[:, None]
        store_tile(dq, rectified_gradient(d_features, raw, RECTIFY), m, d, heads * D, last, D)
        scaled = features.to(tl.float32) * scale[:, None]
        d_values += dot_wide(tl.trans(d_out), scaled)  # [E, D]
        d_columns -= scaled * agreement[:, None]

    which = (part * tl.num_programs(0) + head).to(tl.int64)
    store_state(partials + which * ((E + 1) * D), d_values, tl.sum(d_columns, 0), e, d, E, D)


@triton.jit(do_not_specialize=["tokens", "per_split", "parts"])
def key_grads_kernel(
    k,
    v,
    partials,
    dk,
    dv,
    k_b,
    k_h,
    k_n,
    k_d,
    v_b,
    v_h,
    v_n,
    v_e,
    heads,
    tokens,
    per_split,
    parts,
    share,
    D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_N: tl.constexpr,
    RECTIFY: tl.constexpr,
    TYPE: tl.constexpr,
    TOGETHER: tl.constexpr,
):
    """One head's keys and values split · per_split … -> their gradients. share: 1/N."""
    head, split = tl.program_id(0), tl.program_id(1)
    d, e = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_E)
    batch, own = (head // heads).to(tl.int64), (head % heads).to(tl.int64)
    k += batch * k_b + own * k_h
    v += batch * v_b + own * v_h
    dk += (batch * tokens * heads + own) * D
    dv += (batch * tokens * heads + own) * E

    d_values, d_normaliser = sum_partials(partials, head, parts, share, e, d, E, D, TOGETHER)
    first = split * per_split
    last = tl.minimum(first + per_split, tokens)
    for start in range(first, last, BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)
        raw = load_tile(k, n, d, k_n, k_d, last, D, TYPE)  # [N, D]
        tile = load_tile(v, n, e, v_n, v_e, last, E, TYPE)  # [N, E]
        d_features = dot_wide(tile, d_values) + d_normaliser[None, :]
        store_tile(dk, rectified_gradient(d_features, raw, RECTIFY), n, d, heads * D, last, D)
        store_tile(dv, dot_wide(rectified(raw, RECTIFY), tl.trans(d_values)), n, e, heads * E, last, E)
