"""How large a model's query and key weights are, and how near the bare sums of its attention come to float16's end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.attention import ReLULinearAttention
from linearsr.core.randomness import generator, seed_of_picture, standard_normal

TIMES = (1.0, 0.6, 0.2)
"""Noise levels at which a picture is looked at: the one that one-step restoring uses, one in the middle, one near the end."""
Batch = Mapping[str, Any]


def weight_norms(model: nn.Module) -> dict[str, float]:
    """|W_q| and |W_k|: Frobenius norms, means over the attentions."""
    thirds = [attention.qkv.weight.detach().chunk(3)[:2] for attention in attentions(model)]
    return {name: sum(float(pair[i].norm()) for pair in thirds) / len(thirds) for i, name in enumerate(("w_q", "w_k"))}


@torch.no_grad()
def largest_sums(model: Any, batches: Sequence[Batch], side: int | None) -> dict[str, float]:
    """Of φ(q_i) Σ_j φ(k_j)ᵀ ("denominator") and of |φ(q_i) Σ_j φ(k_j)ᵀ v_j| ("numerator"), over pictures, times, attentions
    and tokens; "tokens": the most that a picture had.

    batches: as `collate_pictures` makes them, pictures of any size; side: of the square of LR pixels in the middle that is
    looked at, None for whole pictures.
    """
    found = {"denominator": 0.0, "numerator": 0.0, "tokens": 0.0}
    with _watched(model, found):
        for batch in batches:
            hr, lr = (2 * part - 1 for part in middle(batch["hr"], batch["lr"], side))
            z0 = model.autoencoder.encode(hr, lr)
            z1 = standard_normal(z0.shape[1:], [generator(seed_of_picture(picture)) for picture in batch["lr"]])
            for time in TIMES:
                t = torch.full((len(lr),), time, dtype=torch.float64)
                model.velocity(model.path.interpolate(z0, z1, t), t, lr)
    return found


def middle(hr: Tensor, lr: Tensor, side: int | None) -> tuple[Tensor, Tensor]:
    """hr [B, 3, s·h, s·w], lr [B, 3, h, w] -> the same of a square of `side` LR pixels in the middle, if so many."""
    if side is None:
        return hr, lr
    scale = hr.shape[-1] // lr.shape[-1]
    top, left = (max(0, length - side) // 2 for length in lr.shape[-2:])
    cut = [(..., slice(s * top, s * (top + side)), slice(s * left, s * (left + side))) for s in (scale, 1)]
    return hr[cut[0]], lr[cut[1]]


def attentions(model: nn.Module) -> list[ReLULinearAttention]:
    return [module for module in model.modules() if isinstance(module, ReLULinearAttention)]


@contextmanager
def _watched(model: nn.Module, found: dict[str, float]) -> Iterator[None]:
    def look(attention: nn.Module, inputs: tuple[Tensor, tuple[int, int]]) -> None:
        q, k, v = attention.split(*inputs)  # type: ignore[operator]
        queries, keys = q.relu(), k.relu()
        sums = {"denominator": keys.sum(-2).unsqueeze(-1), "numerator": keys.transpose(-1, -2) @ v}
        largest = {name: float((queries @ total).abs().max()) for name, total in sums.items()} | {"tokens": q.shape[2]}
        found.update({name: max(found[name], value) for name, value in largest.items()})

    handles = [attention.register_forward_pre_hook(look) for attention in attentions(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
