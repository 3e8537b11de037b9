"""Linear attention on a GPU, forward: two kernels, and what they share with the backward ones.

    o_i = φ(q_i) S / (φ(q_i) n + eps),   S = 1/N Σ_j φ(k_j)ᵀ v_j,   n = 1/N Σ_j φ(k_j)

Shapes: q [B, H, M, D], k [B, H, N, D], v [B, H, N, E] by their strides; o [B, M, H, E], token by token.
S and n lie together as a **state** [E + 1, D] of each head: a row for each value channel, and n as the last row (the row
that a value of 1 would have). A **partial** state is the sum, without 1/N, over one of the splits of the tokens.

    kernel        grid          reads                     writes
    state_kernel  B·H, splits   k, v once                 partials [splits, B·H, E + 1, D] float32
    apply_kernel  B·H, parts    q once, all partials      o once, divided; the state, for the backward pass

Device memory sees q, k, v and o once: 151 MB for 16384 tokens of 36 × 32 in bfloat16, 35 µs at 4.3 TB/s.

One program for a head would leave most of a GPU idle (36 heads on 132 multiprocessors), so the tokens are split. Partials are
added by whoever reads them, the first split first: no atomics, so the same call gives the same bits. A head's programs
are neighbours of the same tokens' other heads, which share their cache lines: the head is the fastest axis of the grid.

D and E are padded to powers of two with zeros, which add nothing to any sum.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs

import triton
import triton.language as tl


@triton.jit
def load_tile(pointer, row, column, row_stride, column_stride, rows, COLUMNS: tl.constexpr, TYPE: tl.constexpr):
    """A tile [row, column] of a matrix [rows, COLUMNS] in TYPE, zeros outside."""
    inside = (row < rows)[:, None] & (column < COLUMNS)[None, :]
    # in 64 bits: the tokens of a large picture's fused qkv lie more than 2³¹ apart
    at = pointer + row.to(tl.int64)[:, None] * row_stride + column[None, :] * column_stride
    return tl.load(at, mask=inside, other=0.0).to(TYPE)


@triton.jit
def store_tile(pointer, value, row, column, row_stride, rows, COLUMNS: tl.constexpr):
    """The inverse, of rows that are contiguous."""
    inside = (row < rows)[:, None] & (column < COLUMNS)[None, :]
    at = pointer + row.to(tl.int64)[:, None] * row_stride + column[None, :]
    tl.store(at, value.to(pointer.dtype.element_ty), mask=inside)


@triton.jit
def rectified(x, RECTIFY: tl.constexpr):
    """φ: ReLU, or nothing where features come computed. NaN stays NaN, as in torch, so that a run that diverges is seen."""
    if RECTIFY:
        wide = x.to(tl.float32)
        x = tl.where(wide <= 0, 0.0, wide).to(x.dtype)
    return x


@triton.jit
def dot(a, b, total):
    """total + a b of two tensors of one type: products of 16-bit numbers are exact in float32; float32 is not cut to TF32."""
    return tl.dot(a, b, total, input_precision="ieee")


@triton.jit
def dot_wide(short, wide):
    """short [R, K] × wide [K, C] float32 -> [R, C] float32, where `wide` keeps more digits than short's type has.

    bfloat16: wide = high + low, two products on the tensor cores; 2⁻¹⁷ of |wide| is lost. float16: such a sum itself, without
    loss; the product of the two low parts is left out. (In float16 `wide` could overflow.) float32: all digits, off the tensor
    cores.
    """
    if short.dtype == tl.float32:
        product = tl.dot(short, wide, input_precision="ieee")
    else:
        high, low = halves(wide)
        if short.dtype == tl.float16:
            top, rest = halves(short.to(tl.float32))
            product = tl.dot(top, high, tl.dot(top, low, tl.dot(rest, high)))
        else:
            product = tl.dot(short, high, tl.dot(short, low))
    return product


@triton.jit
def halves(x):
    """float32 x = high + low, both bfloat16, but for 2⁻¹⁷ of it."""
    high = x.to(tl.bfloat16)
    return high, (x - high.to(tl.float32)).to(tl.bfloat16)


@triton.jit
def store_state(pointer, values, normaliser, e, d, E: tl.constexpr, D: tl.constexpr):
    """values [E, D] and normaliser [D] to one state [E + 1, D]."""
    tl.store(pointer + e[:, None] * D + d[None, :], values, mask=(e < E)[:, None] & (d < D)[None, :])
    tl.store(pointer + E * D + d, normaliser, mask=d < D)


@triton.jit
def load_state(pointer, e, d, columns, E: tl.constexpr, D: tl.constexpr):
    """values [E, D] and normaliser [D] of one state [E + 1, D]; columns: D, or 0 for zeros without a load."""
    inside = (e < E)[:, None] & (d < columns)[None, :]
    values = tl.load(pointer + e[:, None] * D + d[None, :], mask=inside, other=0.0)
    return values, tl.load(pointer + E * D + d, mask=d < columns, other=0.0)


@triton.jit
def sum_partials(partials, head, splits, share, e, d, E: tl.constexpr, D: tl.constexpr, TOGETHER: tl.constexpr):
    """share · Σ over splits, in their order: values [E, D] and normaliser [D]. TOGETHER: loads on their way at a time."""
    values = tl.full([e.shape[0], d.shape[0]], 0.0, tl.float32)
    normaliser = tl.full([d.shape[0]], 0.0, tl.float32)
    for group in range(0, splits, TOGETHER):
        for step in tl.static_range(TOGETHER):
            split = group + step
            which = (split * tl.num_programs(0) + head).to(tl.int64)
            columns = tl.where(split < splits, D, 0)
            more, more_normaliser = load_state(partials + which * ((E + 1) * D), e, d, columns, E, D)
            values += more
            normaliser += more_normaliser
    return values * share, normaliser * share


@triton.jit(do_not_specialize=["tokens", "per_split"])
def state_kernel(
    k,
    v,
    partials,
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
    D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_N: tl.constexpr,
    RECTIFY: tl.constexpr,
    TYPE: tl.constexpr,
):
    """One head's tokens split · per_split … -> its partial state."""
    head, split = tl.program_id(0), tl.program_id(1)
    d, e = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_E)
    k += (head // heads).to(tl.int64) * k_b + (head % heads).to(tl.int64) * k_h
    v += (head // heads).to(tl.int64) * v_b + (head % heads).to(tl.int64) * v_h

    values = tl.full([BLOCK_E, BLOCK_D], 0.0, tl.float32)
    columns = tl.full([BLOCK_N, BLOCK_D], 0.0, tl.float32)  # Σ φ(k), added up over the tile's rows only at the end
    first = split * per_split
    last = tl.minimum(first + per_split, tokens)
    for start in range(first, last, BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)
        features = rectified(load_tile(k, n, d, k_n, k_d, last, D, TYPE), RECTIFY)  # [N, D]
        tile = load_tile(v, n, e, v_n, v_e, last, E, TYPE)  # [N, E]
        values = dot(tl.trans(tile), features, values)  # [E, D]
        columns += features.to(tl.float32)

    which = (split * tl.num_programs(0) + head).to(tl.int64)
    store_state(partials + which * ((E + 1) * D), values, tl.sum(columns, 0), e, d, E, D)


@triton.jit(do_not_specialize=["queries", "per_part", "splits"])
def apply_kernel(
    q,
    partials,
    state,
    o,
    q_b,
    q_h,
    q_m,
    q_d,
    heads,
    queries,
    per_part,
    splits,
    share,
    eps,
    D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_N: tl.constexpr,
    RECTIFY: tl.constexpr,
    TYPE: tl.constexpr,
    TOGETHER: tl.constexpr,
):
    """One head's queries part · per_part … -> their outputs. share: 1/N. The first part also writes the state."""
    head, part = tl.program_id(0), tl.program_id(1)
    d, e = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_E)
    batch, own = (head // heads).to(tl.int64), (head % heads).to(tl.int64)
    q += batch * q_b + own * q_h
    o += (batch * queries * heads + own) * E

    values, normaliser = sum_partials(partials, head, splits, share, e, d, E, D, TOGETHER)
    if part == 0:
        store_state(state + head.to(tl.int64) * ((E + 1) * D), values, normaliser, e, d, E, D)

    values = tl.trans(values)  # [D, E]
    first = part * per_part
    last = tl.minimum(first + per_part, queries)
    for start in range(first, last, BLOCK_N):
        m = start + tl.arange(0, BLOCK_N)
        features = rectified(load_tile(q, m, d, q_m, q_d, last, D, TYPE), RECTIFY)  # [M, D]
        denominator = tl.sum(features.to(tl.float32) * normaliser[None, :], 1) + eps  # [M]
        store_tile(o, dot_wide(features, values) / denominator[:, None], m, e, heads * E, last, E)
