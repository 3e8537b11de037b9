"""Attention from picture tokens to guidance tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.structures import GuidanceTokens

NORM_EPS = 1e-5
NORM_WEIGHT = 0.01
"""The guidance norm starts small, so that untrained guidance hardly disturbs (Sana)."""


@dataclass(frozen=True)
class CrossTokens:
    """One block's view of the guidance: keys, values [B, H, L, d]; mask bool [B, L]; alive bool [B], any token counts.

    Without mask and alive every token of every picture counts, and faster kernels serve.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor | None
    alive: Tensor | None


class GuidanceProjection(nn.Module):
    """Guidance tokens [B, L, width] -> [B, L, dim]: Linear, GELU (tanh), Linear, RMSNorm (Sana's caption projection)."""

    def __init__(self, width: int, dim: int):
        super().__init__()
        self.linear_1 = nn.Linear(width, dim)
        self.linear_2 = nn.Linear(dim, dim)
        self.norm = nn.RMSNorm(dim, eps=NORM_EPS)
        nn.init.constant_(self.norm.weight, NORM_WEIGHT)

    def forward(self, tokens: Tensor) -> Tensor:
        projected = self.linear_2(F.gelu(self.linear_1(tokens.to(self.linear_1.weight.dtype)), approximate="tanh"))
        return self.norm(projected.to(self.norm.weight.dtype))


class CrossAttention(nn.Module):
    """Softmax attention with biases everywhere (Sana). A picture without a single valid token gets exactly 0.

    qk_norm: RMSNorm of queries and of keys over the full width, before the heads are split (Sana-1.5).
    """

    def __init__(self, dim: int, head_width: int, *, qk_norm: bool = False):
        super().__init__()
        if head_width < 1 or dim % head_width:
            raise ConfigError(f"cross_head_width={head_width} does not divide width={dim}")
        self.num_heads = dim // head_width
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.q_norm = nn.RMSNorm(dim, eps=NORM_EPS) if qk_norm else None
        self.k_norm = nn.RMSNorm(dim, eps=NORM_EPS) if qk_norm else None
        self.proj = nn.Linear(dim, dim)

    def tokens(self, projected: Tensor, mask: Tensor | None) -> CrossTokens:
        """projected [B, L, dim]; mask bool [B, L], or None where all count: the part that depends on the guidance alone."""
        keys, values = self.key_value(projected).chunk(2, dim=-1)
        heads = self._heads(keys, self.k_norm), self._heads(values)
        if mask is None:
            return CrossTokens(*heads, None, None)
        alive = mask.any(-1)
        return CrossTokens(*heads, mask | ~alive[:, None], alive)

    def forward(self, x: Tensor, cross: CrossTokens) -> Tensor:
        """x [B, N, dim] -> [B, N, dim]."""
        queries = self._heads(self.query(x), self.q_norm)
        keys, values = cross.keys.to(queries.dtype), cross.values.to(queries.dtype)
        mask = None if cross.mask is None else cross.mask[:, None, None]
        mixed = F.scaled_dot_product_attention(queries, keys, values, mask)
        update = self.proj(rearrange(mixed, "b h n d -> b n (h d)"))
        return update if cross.alive is None else update * cross.alive.view(-1, 1, 1)

    def _heads(self, flat: Tensor, norm: nn.RMSNorm | None = None) -> Tensor:
        if norm is not None:
            flat = norm(flat.to(norm.weight.dtype))
        return rearrange(flat, "b n (h d) -> b h n d", h=self.num_heads)


def without_padding(guidance: GuidanceTokens) -> tuple[Tensor, Tensor | None]:
    """Tokens [B, L, D] and their mask: None where all count. Padding is 0: it may hold anything, and 0·NaN is NaN.

    A token that no picture of the batch counts is left out, but for the first; while gradients are recorded or code is compiled
    all are kept with their mask, so that batches are alike.
    """
    tokens, mask = guidance.tokens.masked_fill(~guidance.mask[..., None], 0), guidance.mask
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or mask.is_meta:
        return tokens, mask
    counted = mask.any(0)
    counted[0] = True
    tokens, mask = tokens[:, counted], mask[:, counted]
    return tokens, None if bool(mask.all()) else mask


def check_guidance(guidance: GuidanceTokens, width: int, batch: int) -> None:
    """Raises ConfigError for tokens of another width than the denoiser was built for, ShapeError for another batch."""
    if guidance.width != width:
        raise ConfigError(
            f"guidance tokens are {guidance.width} wide; the denoiser was built with guidance_width={width}: "
            "it must be the guidance's width"
        )
    if len(guidance.tokens) != batch:
        raise ShapeError(f"guidance tokens are for {len(guidance.tokens)} pictures and the LR is a batch of {batch}")
