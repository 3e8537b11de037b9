"""Ways to mix tokens that are timed against one another, each from the layout that its own projections leave.

Ours begins with one fused product qkv [B, N, 3·C], of which it sees views; diffusers and SDPA with three tensors [B, N, C], as
three projections leave them, which spares them the strides and, backward, the joining of three gradients; flash-bidirectional
with three contiguous [B, H, N, D], which its kernels ask for and no projection leaves. All end with [B, N, C], whatever its
strides; the projections themselves are outside.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from linearsr.attention.functional import relu_linear_attention

FLASH = "flash_bla.ops.linear_attn.fused"
"""Module of flash-bidirectional-linear-attention, Triton kernels for a GPU."""


@dataclass(frozen=True)
class Contender:
    """start: (qkv [B, N, 3·C], heads) -> what it begins with, outside the clock; mix: (that, heads) -> [B, N, C], inside;
    linear: whether its cost is linear in N."""

    name: str
    start: Callable[[Tensor, int], tuple[Tensor, ...]]
    mix: Callable[[tuple[Tensor, ...], int], Tensor]
    linear: bool = True


def contenders(device: torch.device) -> tuple[Contender, ...]:
    """Ours first; flash-bidirectional-linear-attention where it is installed and there is a GPU for it."""
    found = (OURS, DIFFUSERS, SDPA)
    return (*found, FLASH_BIDIRECTIONAL) if device.type == "cuda" and _installed(FLASH) else found


def fused(qkv: Tensor, heads: int) -> tuple[Tensor, ...]:
    """[B, N, 3·C] as it is."""
    return (qkv,)


def three(qkv: Tensor, heads: int) -> tuple[Tensor, ...]:
    """q, k, v [B, N, C], contiguous."""
    return tuple(part.contiguous() for part in qkv.chunk(3, dim=-1))


def by_heads(qkv: Tensor, heads: int) -> tuple[Tensor, ...]:
    """q, k, v [B, H, N, D], contiguous."""
    return tuple(part.contiguous() for part in split(qkv.chunk(3, dim=-1), heads))


def split(parts: tuple[Tensor, ...], heads: int) -> tuple[Tensor, ...]:
    """[B, N, C] each -> views [B, H, N, D]."""
    return tuple(part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)


def join(mixed: Tensor) -> Tensor:
    """[B, H, N, D] -> [B, N, C]."""
    return mixed.transpose(1, 2).flatten(2)


def _ours(projected: tuple[Tensor, ...], heads: int) -> Tensor:
    return join(relu_linear_attention(*split(projected[0].chunk(3, dim=-1), heads)))


def _diffusers(projected: tuple[Tensor, ...], heads: int) -> Tensor:
    """The processor of diffusers' Sana itself; the layer that it asks for its projections hands over what is projected."""
    from diffusers.models.attention_processor import SanaLinearAttnProcessor2_0

    q, k, v = projected
    layer = SimpleNamespace(
        to_q=lambda x: q, to_k=lambda x: k, to_v=lambda x: v, norm_q=None, norm_k=None, heads=heads, to_out=[_same, _same]
    )
    return SanaLinearAttnProcessor2_0()(layer, q)


def _sdpa(projected: tuple[Tensor, ...], heads: int) -> Tensor:
    return join(F.scaled_dot_product_attention(*split(projected, heads)))


def _flash_bidirectional(projected: tuple[Tensor, ...], heads: int) -> Tensor:
    q, k, v = projected
    return join(importlib.import_module(FLASH).linear_attention(q.relu(), k.relu(), v))


def _same(x: Tensor) -> Tensor:
    return x


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None


OURS = Contender("ours", fused, _ours)
DIFFUSERS = Contender("diffusers", three, _diffusers)
SDPA = Contender("SDPA", three, _sdpa, linear=False)
FLASH_BIDIRECTIONAL = Contender("flash-bidirectional", by_heads, _flash_bidirectional)
