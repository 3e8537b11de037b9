"""Linear attention on a GPU: `triton_linear_attention` with its gradient, in two kernels forward and two backward.

Importing this file imports Triton; import it where a CUDA tensor has come and not before. The kernels and their derivation
are in `triton_linear_forward` and `triton_linear_backward`; here they become torch operators and get the sizes to run with.

They are registered as operators of torch.library, not as an autograd.Function: torch.compile then sees one opaque call with
known output shapes (no graph break, nothing of Triton's traced), on every torch since 2.6, and autocast passes by.
Workspaces are torch.empty and nothing is read back, so a CUDA graph can capture all of it.

Bitwise reproducible on one kind of card; another number of multiprocessors splits the sums elsewhere and rounds differently.
"""

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from linearsr.attention.triton_linear_backward import key_grads_kernel, query_grads_kernel
from linearsr.attention.triton_linear_forward import apply_kernel, state_kernel
from linearsr.core.errors import ShapeError
from linearsr.core.triton_support import processors

TYPES = {torch.float32: tl.float32, torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}
WIDEST = 64
"""Widest head: beyond it a state's two halves, in both orders, outgrow the shared memory of smaller cards."""
NARROWEST = 16
"""What tensor cores multiply at least; narrower heads are padded."""
PROGRAMS_PER_PROCESSOR = 3
"""How far to split: 36 heads and 16384 tokens make 396 programs for 132 multiprocessors. Three tiles of 8 KB on their way for
each are more than the 4 MB that a memory of 4 TB/s needs to be kept busy at a latency of 1 µs (our choice)."""
LEAST_TILES = 2
"""Of a split, so that one is loaded while another is worked on: 36 heads and 1024 tokens make 288 programs (our choice)."""
MOST_SPLITS = 32
"""Every reader adds up all partials of its head; beyond this they would be more than the tokens they come from (our choice)."""


@dataclass(frozen=True)
class Tiling:
    """Sizes of a launch. block_d, block_e: padded widths; block_n: tokens of a tile; together: partials loaded at a time."""

    block_d: int
    block_e: int
    block_n: int
    warps: int
    stages: int
    together: int

    @classmethod
    def of(cls, d: int, e: int, dtype: torch.dtype) -> "Tiling":
        """A table, not a search: results and the first call's time must not depend on a stopwatch.

        Width 32 in 16 bits is what the speed goals are about: a tile of 64 tokens is 4 KB, two 16-byte loads for each of 128
        threads, and the fewest rows of a warpgroup's product on Hopper. The other rows are the largest tiles whose kernels,
        compiled for compute capability 9.0, keep everything in registers.
        """
        block_d, block_e = max(NARROWEST, triton.next_power_of_2(d)), max(NARROWEST, triton.next_power_of_2(e))
        wide = max(block_d, block_e) > 32
        if dtype == torch.float32:  # products off the tensor cores, whose factors stand in registers
            return cls(block_d, block_e, 16, 8, 2, 4) if wide else cls(block_d, block_e, 32, 4, 2, 8)
        return cls(block_d, block_e, 32, 4, 3, 4) if wide else cls(block_d, block_e, 64, 4, 3, 8)

    def options(self, d: int, e: int, dtype: torch.dtype, rectify: bool) -> dict[str, object]:
        """What all four kernels are specialised by."""
        return {
            "D": d,
            "E": e,
            "BLOCK_D": self.block_d,
            "BLOCK_E": self.block_e,
            "BLOCK_N": self.block_n,
            "RECTIFY": rectify,
            "TYPE": TYPES[dtype],
            "num_warps": self.warps,
            "num_stages": self.stages,
            "enable_fp_fusion": True,  # said, because the default changes between Triton's versions, and rounding with it
        }


def splits(tokens: int, heads: int, block: int, processors: int) -> tuple[int, int]:
    """(number of splits, tokens of each): whole tiles, all splits alike but the last, none empty. heads: B·H."""
    tiles = triton.cdiv(tokens, block)
    wanted = min(triton.cdiv(PROGRAMS_PER_PROCESSOR * processors, heads), MOST_SPLITS)
    each = max(triton.cdiv(tiles, wanted), LEAST_TILES)
    return triton.cdiv(tiles, each), each * block


def supports(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether the kernels take them: float32, float16 or bfloat16, also mixed; D, E ≤ 64; some token."""
    return (
        all(x.dtype in TYPES and x.ndim == 4 and 0 not in x.shape and x.device == q.device for x in (q, k, v))
        and q.shape[:2] == k.shape[:2]
        and q.shape[3] == k.shape[3]
        and k.shape[:3] == v.shape[:3]
        and max(q.shape[-1], v.shape[-1]) <= WIDEST
    )


def triton_linear_attention(q: Tensor, k: Tensor, v: Tensor, *, eps: float, rectify: bool) -> Tensor:
    """q [B, H, M, D], k [B, H, N, D], v [B, H, N, E], any strides. Returns a view [B, H, M, E] of [B, M, H, E], in v's dtype.

    rectify: φ is ReLU; otherwise q and k are features already, nowhere negative. Sums, states and the division are float32;
    16-bit inputs are multiplied exactly, and the state keeps 16 bits where 16-bit numbers meet it. Inputs of several types are
    worked on in the widest of them. A query or a picture without a positive entry gives exactly 0, with a finite gradient.
    Raises ShapeError where `supports` says no.
    """
    if not supports(q, k, v):
        raise ShapeError(
            f"q, k, v are {q.dtype} {list(q.shape)}, {k.dtype} {list(k.shape)}, {v.dtype} {list(v.shape)}; these kernels take "
            f"[B, H, M, D], [B, H, N, D], [B, H, N, E] in float32, float16 and bfloat16, D and E up to {WIDEST}"
        )
    out, _ = linear_attention_forward(q, k, v, eps, rectify)
    return out.transpose(1, 2)


@torch.library.custom_op("linearsr::linear_attention", mutates_args=())
def linear_attention_forward(q: Tensor, k: Tensor, v: Tensor, eps: float, rectify: bool) -> tuple[Tensor, Tensor]:
    """Outputs [B, M, H, E] in v's dtype, and the states [B·H, E + 1, D] float32."""
    b, h, m, d = q.shape
    n, e = k.shape[2], v.shape[3]
    dtype = common_type(q, k, v)
    tiling = Tiling.of(d, e, dtype)
    options = tiling.options(d, e, dtype, rectify)
    count, per_split = splits(n, b * h, tiling.block_n, processors(q.device))
    parts, per_part = splits(m, b * h, tiling.block_n, processors(q.device))
    partials = torch.empty(count, b * h, e + 1, d, dtype=torch.float32, device=q.device)
    state = torch.empty(b * h, e + 1, d, dtype=torch.float32, device=q.device)
    out = torch.empty(b, m, h, e, dtype=v.dtype, device=q.device)
    with torch.cuda.device_of(q):
        state_kernel[(b * h, count)](k, v, partials, *k.stride(), *v.stride(), h, n, per_split, **options)
        apply_kernel[(b * h, parts)](
            q, partials, state, out, *q.stride(), h, m, per_part, count, 1 / n, eps, **options, TOGETHER=tiling.together
        )
    return out, state


@linear_attention_forward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, eps: float, rectify: bool) -> tuple[Tensor, Tensor]:
    b, h, m, d = q.shape
    e = v.shape[3]
    return v.new_empty(b, m, h, e), q.new_empty(b * h, e + 1, d, dtype=torch.float32)


@torch.library.custom_op("linearsr::linear_attention_backward", mutates_args=())
def linear_attention_backward(
    q: Tensor, k: Tensor, v: Tensor, state: Tensor, grad: Tensor, eps: float, rectify: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """grad [B, M, H, E], any strides. Returns the gradients of q, k, v as [B, M, H, D], [B, N, H, D], [B, N, H, E]."""
    b, h, m, d = q.shape
    n, e = k.shape[2], v.shape[3]
    dtype = common_type(q, k, v)
    tiling = Tiling.of(d, e, dtype)
    options = tiling.options(d, e, dtype, rectify)
    parts, per_part = splits(m, b * h, tiling.block_n, processors(q.device))
    count, per_split = splits(n, b * h, tiling.block_n, processors(q.device))
    partials = torch.empty(parts, b * h, e + 1, d, dtype=torch.float32, device=q.device)
    dq, dk, dv = _token_major(q), _token_major(k), _token_major(v)
    with torch.cuda.device_of(q):
        query_grads_kernel[(b * h, parts)](
            q, state, grad, dq, partials, *q.stride(), *grad.stride(), h, m, per_part, eps, **options
        )
        key_grads_kernel[(b * h, count)](
            k, v, partials, dk, dv, *k.stride(), *v.stride(), h, n, per_split, parts, 1 / n, **options, TOGETHER=tiling.together
        )
    return dq, dk, dv


@linear_attention_backward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, state: Tensor, grad: Tensor, eps: float, rectify: bool) -> tuple[Tensor, Tensor, Tensor]:
    return _token_major(q), _token_major(k), _token_major(v)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, ctx.eps, ctx.rectify = inputs
    ctx.save_for_backward(q, k, v, output[1])
    ctx.set_materialize_grads(False)  # of the state, that nobody else sees


def _gradients(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor | None, ...]:
    grads = linear_attention_backward(*ctx.saved_tensors, grad, ctx.eps, ctx.rectify)
    return *(gradient.transpose(1, 2) for gradient in grads), None, None


linear_attention_forward.register_autograd(_gradients, setup_context=_keep)


def common_type(q: Tensor, k: Tensor, v: Tensor) -> torch.dtype:
    """What tiles are converted to on load: under autocast, normed queries and keys are float32 and values bfloat16."""
    return torch.promote_types(torch.promote_types(q.dtype, k.dtype), v.dtype)


def _token_major(x: Tensor) -> Tensor:
    """Room for [B, N, H, D], given [B, H, N, D]."""
    b, h, n, d = x.shape
    return torch.empty(b, n, h, d, dtype=x.dtype, device=x.device)
