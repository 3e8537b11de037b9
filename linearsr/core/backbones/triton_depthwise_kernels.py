"""The middle of the Mix-FFN on a GPU: depthwise 3×3, bias and gate in one pass over the picture, and its gradient in two.

    s = SiLU(x) or x                                      x [B, H, W, 2h] channels last, s zero outside the picture
    p[y, x] = bias + Σ_{i,j} w[i, j] s[y+i−1, x+j−1]      each of 2h channels by itself; i, j = 0, 1, 2
    (u, g) = the two halves of p;  out = u · SiLU(g)      [B, H, W, h]

    kernel                  program                               reads             writes
    gate_kernel             P pixels × C channels, down a strip   x (both halves)   out
    gate_kernel, GRADIENT   the same                              x, dout           du, dg [B, H, W, 2h] in x's dtype
    input_grads_kernel      P pixels × C of the 2h channels       du, dg, x         dx; partials of dw and dbias

A program goes down its strip row by row. A row is loaded three times, shifted by −1, 0 and 1 pixels (the second and third
time out of the nearest cache), and serves three rows of outputs at once: rows y−1 (which it completes), y and y+1. So device
memory sees x once, and SiLU is computed three times for each number, where nine loads would be nine times.

Backward: SiLU'(g) = σ(g) (1 + g (1 − σ(g))), so

    du = dout · SiLU(g)                                   dg = dout · u · SiLU'(g)
    ds[y, x]  = Σ_{i,j} w[i, j] d[y+1−i, x+1−j]           d = (du, dg), zero outside the picture
    dw[i, j]  = Σ_{y,x} d[y+1−i, x+1−j] s[y, x]           dbias = Σ_{y,x} d[y, x]
    dx = ds · SiLU'(x) or ds

u and g are computed again from x, so that x is all that is kept. ds and dw meet the same nine neighbours of d, which a
program holds as a window of three rows. Its sums for dw and dbias go to partials [programs, 10, 2h] float32, nine taps and
the bias, which the caller adds up: no atomics, so the same call gives the same bits.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs

import triton
import triton.language as tl


@triton.jit
def pixels(x, y, column, channel, height, width, channels, y_stride, x_stride, c_stride):
    """[P, C] float32 of row y; zeros outside the picture."""
    # a comparison of scalars chooses the end, because Triton's interpreter does not broadcast it to a mask
    row = tl.cast(y, tl.int64)
    end = tl.where((row >= 0) & (row < height), width, 0)
    inside = ((column >= 0) & (column < end))[:, None] & (channel < channels)[None, :]
    at = x + row * y_stride + column[:, None] * x_stride + channel[None, :] * c_stride
    return tl.load(at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def silu_where(x, ACTIVATE: tl.constexpr):
    if ACTIVATE:
        x = x * tl.sigmoid(x)
    return x


@triton.jit
def silu_slope(x):
    sigmoid = tl.sigmoid(x)
    return sigmoid * (1 + x * (1 - sigmoid))


@triton.jit
def neighbours(x, y, column, channel, height, width, channels, y_stride, x_stride, c_stride, ACTIVATE: tl.constexpr):
    """Row y: the pixels left of `column`, at it, and right of it, each [P, C]."""
    left = pixels(x, y, column - 1, channel, height, width, channels, y_stride, x_stride, c_stride)
    here = pixels(x, y, column, channel, height, width, channels, y_stride, x_stride, c_stride)
    right = pixels(x, y, column + 1, channel, height, width, channels, y_stride, x_stride, c_stride)
    return silu_where(left, ACTIVATE), silu_where(here, ACTIVATE), silu_where(right, ACTIVATE)


@triton.jit
def kernel_row(weight, channel, channels, ROW: tl.constexpr):
    """Row `ROW` of each channel's 3×3, three times [1, C] float32; weight [channels, 1, 3, 3] contiguous."""
    at = weight + channel[None, :] * 9 + ROW * 3
    inside = (channel < channels)[None, :]
    left = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    here = tl.load(at + 1, mask=inside, other=0.0).to(tl.float32)
    right = tl.load(at + 2, mask=inside, other=0.0).to(tl.float32)
    return left, here, right


@triton.jit(do_not_specialize=["height", "width", "columns", "rows"])
def gate_kernel(
    x,
    weight,
    bias,
    grad,
    out,
    x_b,
    x_y,
    x_x,
    x_c,
    grad_b,
    grad_y,
    grad_x,
    grad_c,
    height,
    width,
    hidden,
    columns,
    rows,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
    ACTIVATE: tl.constexpr,
    GRADIENT: tl.constexpr,
    STAGES: tl.constexpr,
):
    """out = u · SiLU(g) [B, H, W, h]; with GRADIENT, out = (du, dg) [B, H, W, 2h]. Grid (blocks of h, strips of `rows`, B)."""
    strip, batch = tl.program_id(1), tl.program_id(2).to(tl.int64)
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    column = (strip % columns) * PIXELS + tl.arange(0, PIXELS)
    first = (strip // columns) * rows
    last = tl.minimum(first + rows, height)
    x += batch * x_b
    grad += batch * grad_b

    gate, gate_weight = x + hidden * x_c, weight + hidden * 9  # the second half's channels lie h further
    a0, a1, a2 = kernel_row(weight, channel, hidden, 0)
    b0, b1, b2 = kernel_row(weight, channel, hidden, 1)
    c0, c1, c2 = kernel_row(weight, channel, hidden, 2)
    A0, A1, A2 = kernel_row(gate_weight, channel, hidden, 0)
    B0, B1, B2 = kernel_row(gate_weight, channel, hidden, 1)
    C0, C1, C2 = kernel_row(gate_weight, channel, hidden, 2)
    nothing = tl.full([PIXELS, CHANNELS], 0.0, tl.float32)
    u_bias = tl.load(bias + channel, mask=channel < hidden, other=0.0).to(tl.float32)[None, :] + nothing
    g_bias = tl.load(bias + hidden + channel, mask=channel < hidden, other=0.0).to(tl.float32)[None, :] + nothing
    u_here, u_below, g_here, g_below = nothing, nothing, nothing, nothing  # sums begun: rows y and y + 1
    for y in tl.range(first - 1, last + 1, num_stages=STAGES):
        left, here, right = neighbours(x, y, column, channel, height, width, hidden, x_y, x_x, x_c, ACTIVATE)
        u = u_here + left * c0 + here * c1 + right * c2  # complete: row y − 1
        u_here = u_below + left * b0 + here * b1 + right * b2
        u_below = u_bias + left * a0 + here * a1 + right * a2
        left, here, right = neighbours(gate, y, column, channel, height, width, hidden, x_y, x_x, x_c, ACTIVATE)
        g = g_here + left * C0 + here * C1 + right * C2
        g_here = g_below + left * B0 + here * B1 + right * B2
        g_below = g_bias + left * A0 + here * A1 + right * A2

        end = tl.where(y > first, width, 0)  # the first two rows only begin sums
        inside = (column < end)[:, None] & (channel < hidden)[None, :]
        pixel = ((batch * height + y - 1) * width + column)[:, None]
        if GRADIENT:
            d_out = pixels(grad, y - 1, column, channel, height, end, hidden, grad_y, grad_x, grad_c)
            at = out + pixel * (2 * hidden) + channel[None, :]
            tl.store(at, (d_out * g * tl.sigmoid(g)).to(out.dtype.element_ty), mask=inside)
            tl.store(at + hidden, (d_out * u * silu_slope(g)).to(out.dtype.element_ty), mask=inside)
        else:
            at = out + pixel * hidden + channel[None, :]
            tl.store(at, (u * g * tl.sigmoid(g)).to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["height", "width", "columns", "rows"])
def input_grads_kernel(
    x,
    d,
    weight,
    dx,
    partials,
    x_b,
    x_y,
    x_x,
    x_c,
    height,
    width,
    channels,
    columns,
    rows,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
    ACTIVATE: tl.constexpr,
):
    """dx [B, H, W, 2h] and partials [B · strips, 10, 2h]. d [B, H, W, 2h] contiguous. Grid (blocks of 2h, strips, B)."""
    strip, batch = tl.program_id(1), tl.program_id(2).to(tl.int64)
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    column = (strip % columns) * PIXELS + tl.arange(0, PIXELS)
    first = (strip // columns) * rows
    last = tl.minimum(first + rows, height)
    x += batch * x_b
    d += batch * height * width * channels
    d_y = width * channels

    w00, w01, w02 = kernel_row(weight, channel, channels, 0)
    w10, w11, w12 = kernel_row(weight, channel, channels, 1)
    w20, w21, w22 = kernel_row(weight, channel, channels, 2)
    nothing = tl.full([PIXELS, CHANNELS], 0.0, tl.float32)
    s00, s01, s02 = nothing, nothing, nothing
    s10, s11, s12 = nothing, nothing, nothing
    s20, s21, s22 = nothing, nothing, nothing
    total = nothing
    a_left, a_here, a_right = neighbours(d, first - 1, column, channel, height, width, channels, d_y, channels, 1, False)
    left, here, right = neighbours(d, first, column, channel, height, width, channels, d_y, channels, 1, False)
    for y in range(first, last):
        b_left, b_here, b_right = neighbours(d, y + 1, column, channel, height, width, channels, d_y, channels, 1, False)
        raw = pixels(x, y, column, channel, height, width, channels, x_y, x_x, x_c)
        s = silu_where(raw, ACTIVATE)

        ds = b_right * w00 + b_here * w01 + b_left * w02
        ds += right * w10 + here * w11 + left * w12
        ds += a_right * w20 + a_here * w21 + a_left * w22
        if ACTIVATE:
            ds *= silu_slope(raw)
        inside = (column < width)[:, None] & (channel < channels)[None, :]
        pixel = ((batch * height + y) * width + column)[:, None]
        tl.store(dx + pixel * channels + channel[None, :], ds.to(dx.dtype.element_ty), mask=inside)

        s00 += b_right * s
        s01 += b_here * s
        s02 += b_left * s
        s10 += right * s
        s11 += here * s
        s12 += left * s
        s20 += a_right * s
        s21 += a_here * s
        s22 += a_left * s
        total += here
        a_left, a_here, a_right = left, here, right
        left, here, right = b_left, b_here, b_right

    at = partials + (batch * tl.num_programs(1) + strip) * (10 * channels) + channel
    inside = channel < channels
    tl.store(at, tl.sum(s00, 0), mask=inside)
    tl.store(at + channels, tl.sum(s01, 0), mask=inside)
    tl.store(at + 2 * channels, tl.sum(s02, 0), mask=inside)
    tl.store(at + 3 * channels, tl.sum(s10, 0), mask=inside)
    tl.store(at + 4 * channels, tl.sum(s11, 0), mask=inside)
    tl.store(at + 5 * channels, tl.sum(s12, 0), mask=inside)
    tl.store(at + 6 * channels, tl.sum(s20, 0), mask=inside)
    tl.store(at + 7 * channels, tl.sum(s21, 0), mask=inside)
    tl.store(at + 8 * channels, tl.sum(s22, 0), mask=inside)
    tl.store(at + 9 * channels, tl.sum(total, 0), mask=inside)
