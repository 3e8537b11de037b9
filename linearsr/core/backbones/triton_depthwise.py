"""Depthwise 3×3, bias and gate of the Mix-FFN on a GPU: `gated_depthwise`, one kernel forward and two backward.

Importing this file imports Triton; import it where a CUDA tensor has come and not before. The kernels and their derivation
are in `triton_depthwise_kernels`. They are operators of torch.library, which torch.compile takes as one opaque call, and a
CUDA graph can capture them: workspaces are torch.empty, nothing is read back.

Bitwise reproducible on one kind of card; another number of multiprocessors adds up the weights' gradients in another order.
"""

from typing import Any

import torch
import triton
from torch import Tensor

from linearsr.core.backbones.triton_depthwise_kernels import gate_kernel, input_grads_kernel
from linearsr.core.errors import ShapeError
from linearsr.core.triton_support import processors

TYPES = (torch.float32, torch.float16, torch.bfloat16)
PIXELS, CHANNELS, WARPS = 8, 64, 4
"""Of a program's tile, four numbers a thread: 18 weights and 4 begun sums for each of its channels stay in registers (about
160, compiled for compute capability 9.0): three programs on a multiprocessor. 64 bfloat16 channels are a cache line."""
STAGES = 3
"""Rows on their way: 36 KB for a multiprocessor, where 4 TB/s · 1 µs are 30 KB for each of 132 (our choice)."""
PROGRAMS_PER_PROCESSOR = 4
"""How far to cut columns of tiles into strips (our choice)."""
LEAST_ROWS = 8
"""Of a strip: each reads a row above and one below besides, a quarter more (our choice)."""


def supports(x: Tensor) -> bool:
    """Whether the kernels take it: [B, H, W, 2h] in float32, float16 or bfloat16, not empty."""
    return x.dtype in TYPES and x.ndim == 4 and 0 not in x.shape


def gated_depthwise(x: Tensor, weight: Tensor, bias: Tensor, *, activate: bool = False) -> Tensor:
    """x [B, H, W, 2h], any strides; weight [2h, 1, 3, 3]; bias [2h]. Returns value · SiLU(gate) [B, H, W, h] in x's dtype.

    (value, gate) are the halves of depthwise3x3(x) + bias with zero padding; activate: of SiLU(x) instead of x, which is then
    never written to memory, but computed three times over. Everything between load and store is float32. Keeps x alone for the
    backward pass. Raises ShapeError.
    """
    if not supports(x) or x.shape[3] % 2 or weight.shape != (x.shape[3], 1, 3, 3) or bias.shape != x.shape[3:]:
        raise ShapeError(
            f"x, weight, bias are {x.dtype} {list(x.shape)}, {list(weight.shape)}, {list(bias.shape)}; these kernels take "
            f"[B, H, W, 2h] in float32, float16 or bfloat16, [2h, 1, 3, 3] and [2h]"
        )
    return gated_depthwise_forward(x, weight, bias, activate)


def strips(b: int, height: int, width: int, channels: int, processors: int) -> tuple[int, int, int, int]:
    """(blocks of channels, columns of tiles, strips in all, rows of each)."""
    blocks, columns = triton.cdiv(channels, CHANNELS), triton.cdiv(width, PIXELS)
    wanted = triton.cdiv(PROGRAMS_PER_PROCESSOR * processors, blocks * columns * b)
    rows = max(triton.cdiv(height, wanted), LEAST_ROWS)
    return blocks, columns, columns * triton.cdiv(height, rows), rows


@torch.library.custom_op("linearsr::gated_depthwise", mutates_args=())
def gated_depthwise_forward(x: Tensor, weight: Tensor, bias: Tensor, activate: bool) -> Tensor:
    b, height, width, channels = x.shape
    hidden = channels // 2
    out = torch.empty(b, height, width, hidden, dtype=x.dtype, device=x.device)
    _gate(x, weight, bias, x, out, activate, gradient=False)
    return out


@gated_depthwise_forward.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor, activate: bool) -> Tensor:
    return x.new_empty(*x.shape[:3], x.shape[3] // 2)


@torch.library.custom_op("linearsr::gated_depthwise_backward", mutates_args=())
def gated_depthwise_backward(
    x: Tensor, weight: Tensor, bias: Tensor, grad: Tensor, activate: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """grad [B, H, W, h], any strides. Returns the gradients of x (contiguous), weight and bias."""
    b, height, width, channels = x.shape
    blocks, columns, count, rows = strips(b, height, width, channels, processors(x.device))
    d = torch.empty(b, height, width, channels, dtype=x.dtype, device=x.device)
    dx = torch.empty_like(d)
    partials = torch.empty(b * count, 10, channels, dtype=torch.float32, device=x.device)
    _gate(x, weight, bias, grad, d, activate, gradient=True)
    with torch.cuda.device_of(x):
        input_grads_kernel[(blocks, count, b)](
            x,
            d,
            weight.contiguous(),
            dx,
            partials,
            *x.stride(),
            height,
            width,
            channels,
            columns,
            rows,
            PIXELS=PIXELS,
            CHANNELS=CHANNELS,
            ACTIVATE=activate,
            num_warps=WARPS,
            enable_fp_fusion=True,
        )
    taps, total = partials.sum(0).split([9, 1])
    dweight = taps.T.contiguous().view(weight.shape).to(weight.dtype)
    return dx, dweight, total.flatten().to(bias.dtype, copy=True)


@gated_depthwise_backward.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor, grad: Tensor, activate: bool) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape), bias.new_empty(bias.shape)


def _gate(x: Tensor, weight: Tensor, bias: Tensor, grad: Tensor, out: Tensor, activate: bool, *, gradient: bool) -> None:
    """Fills `out`."""
    b, height, width, channels = x.shape
    blocks, columns, count, rows = strips(b, height, width, channels // 2, processors(x.device))
    with torch.cuda.device_of(x):
        gate_kernel[(blocks, count, b)](
            x,
            weight.contiguous(),
            bias.contiguous(),
            grad,
            out,
            *x.stride(),
            *grad.stride(),
            height,
            width,
            channels // 2,
            columns,
            rows,
            PIXELS=PIXELS,
            CHANNELS=CHANNELS,
            ACTIVATE=activate,
            GRADIENT=gradient,
            STAGES=STAGES,
            num_warps=WARPS,
            enable_fp_fusion=True,  # said, because the default changes between Triton's versions, and rounding with it
        )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, ctx.activate = inputs
    ctx.save_for_backward(x, weight, bias)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return *gated_depthwise_backward(*ctx.saved_tensors, grad, ctx.activate), None


gated_depthwise_forward.register_autograd(_gradients, setup_context=_keep)
