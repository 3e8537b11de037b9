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
    """One block's view of the guidance: keys, values [B, H, L, d]; mask bool [B, L]; alive bool [B], any token counts."""

    keys: Tensor
    values: Tensor
    mask: Tensor
    alive: Tensor


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

    def tokens(self, projected: Tensor, mask: Tensor) -> CrossTokens:
        """projected [B, L, dim], mask bool [B, L]: the part that depends on the guidance alone."""
        keys, values = self.key_value(projected).chunk(2, dim=-1)
        alive = mask.any(-1)
        return CrossTokens(self._heads(keys, self.k_norm), self._heads(values), mask | ~alive[:, None], alive)

    def forward(self, x: Tensor, cross: CrossTokens) -> Tensor:
        """x [B, N, dim] -> [B, N, dim]."""
        queries = self._heads(self.query(x), self.q_norm)
        keys, values = cross.keys.to(queries.dtype), cross.values.to(queries.dtype)
        mixed = F.scaled_dot_product_attention(queries, keys, values, cross.mask[:, None, None])
        return self.proj(rearrange(mixed, "b h n d -> b n (h d)")) * cross.alive.view(-1, 1, 1)

    def _heads(self, flat: Tensor, norm: nn.RMSNorm | None = None) -> Tensor:
        if norm is not None:
            flat = norm(flat.to(norm.weight.dtype))
        return rearrange(flat, "b n (h d) -> b h n d", h=self.num_heads)


def without_padding(guidance: GuidanceTokens) -> GuidanceTokens:
    """The tokens that some picture of the batch counts, or the first if none does: the others have no weight anywhere.

    While gradients are recorded or code is compiled all are kept, so that batches are alike in size.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return guidance
    counted = guidance.mask.any(0)
    counted[0] |= not bool(counted.any())
    return guidance if bool(counted.all()) else GuidanceTokens(guidance.tokens[:, counted], guidance.mask[:, counted])


def check_guidance(guidance: GuidanceTokens, width: int, batch: int) -> None:
    """Raises ConfigError for tokens of another width than the denoiser was built for, ShapeError for another batch."""
    if guidance.width != width:
        raise ConfigError(
            f"guidance tokens are {guidance.width} wide; the denoiser was built with guidance_width={width}: "
            "it must be the guidance's width"
        )
    if len(guidance.tokens) != batch:
        raise ShapeError(f"guidance tokens are for {len(guidance.tokens)} pictures and the LR is a batch of {batch}")
