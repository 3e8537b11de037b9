"""The parameters around every attention here: one fused projection to queries, keys and values, one back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.values import require_bool, require_count

QK_NORM_EPS = 1e-5
"""Sana-1.5's."""


class MultiHeadAttention(nn.Module):
    """Base: a subclass says how heads mix in `mix`, and the same by the N×N road in `mix_dense`.

    dim:       C, width of a token; num_heads: H, divides dim
    qk_norm:   RMSNorm of queries and of keys over the full width, before the heads are split (Sana-1.5; off in Sana)
    qkv has no bias, the projection out has one (Sana). Raises ConfigError for an option out of range, and if
    num_heads does not divide dim.
    """

    linear = False
    permutation_equivariant = False
    additive = False

    def __init__(self, dim: int, num_heads: int, *, qk_norm: bool = False):
        super().__init__()
        dim, num_heads = require_count(dim, "dim"), require_count(num_heads, "num_heads")
        if dim % num_heads:
            raise ConfigError(f"num_heads={num_heads} does not divide dim={dim}; change width or head_width of the denoiser")
        self.dim, self.num_heads = dim, num_heads
        qk_norm = require_bool(qk_norm, "attention.qk_norm")
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_norm = nn.RMSNorm(dim, eps=QK_NORM_EPS) if qk_norm else None
        self.k_norm = nn.RMSNorm(dim, eps=QK_NORM_EPS) if qk_norm else None
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """x [B, N, C], N = grid[0]·grid[1] row by row. Returns [B, N, C]. Raises ShapeError."""
        return self.join(self.mix(*self.split(x, grid), grid))

    def forward_dense(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """The same layer by the N×N road, for tests and for looking at."""
        return self.join(self.mix_dense(*self.split(x, grid), grid))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        """q, k, v [B, H, N, D]. Returns [B, H, N, D]."""
        raise NotImplementedError

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        """As `mix`, with the whole N×N matrix."""
        raise NotImplementedError

    def split(self, x: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, N, C]. Returns queries, keys, values, each a view [B, H, N, D] of one product."""
        self.check(x, grid)
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.heads(q, self.q_norm), self.heads(k, self.k_norm), self.heads(v)

    def queries(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """x [B, N, C]. Returns [B, H, N, D]: the first third of the product alone."""
        self.check(x, grid)
        return self.heads(F.linear(x, self.qkv.weight[: self.dim]), self.q_norm)

    def keys_values(self, x: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """x [B, N, C]. Returns two [B, H, N, D]: the other two thirds."""
        self.check(x, grid)
        k, v = F.linear(x, self.qkv.weight[self.dim :]).chunk(2, dim=-1)
        return self.heads(k, self.k_norm), self.heads(v)

    def query_key_norms(self) -> tuple[Tensor, Tensor]:
        """What sets the length of queries and keys: |W_q| and |W_k| (Frobenius); the gains' where qk_norm makes up for those.

        Two float64 scalars, without gradients. Weights may lie in pieces on several ranks; then every rank must call it.
        """
        if self.q_norm is not None and self.k_norm is not None:
            rows = torch.cat([_squares(self.q_norm.weight), _squares(self.k_norm.weight)])
        else:
            rows = _squares(self.qkv.weight)
        q, k = rows.split(self.dim)[:2]
        return q.sum().sqrt(), k.sum().sqrt()

    def heads(self, flat: Tensor, norm: nn.RMSNorm | None = None) -> Tensor:
        """[B, N, C] -> a view [B, H, N, D]."""
        if norm is not None:
            flat = norm(flat.to(norm.weight.dtype))  # under autocast the product is bfloat16 and the weight float32
        return rearrange(flat, "b n (h d) -> b h n d", h=self.num_heads)

    def join(self, heads: Tensor) -> Tensor:
        """[B, H, N, D] -> projected [B, N, C]."""
        return self.proj(rearrange(heads, "b h n d -> b n (h d)"))

    def check(self, x: Tensor, grid: tuple[int, int]) -> None:
        """Raises ShapeError for tokens that do not fill the grid, for another width, and for a batch without a picture."""
        if x.ndim != 3 or x.shape[0] == 0 or x.shape[-1] != self.dim or x.shape[1] != grid[0] * grid[1]:
            raise ShapeError(
                f"tokens are {list(x.shape)} on a grid {grid}; wanted [B, {grid[0] * grid[1]}, {self.dim}], B at least 1"
            )


def _squares(weight: Tensor) -> Tensor:
    """weight [R, …] -> sum of squares of each row, float64 [R], whole on every rank."""
    rows = weight.detach().double().square().flatten(1).sum(1) if weight.ndim > 1 else weight.detach().double().square()
    whole: Tensor = rows.full_tensor() if hasattr(rows, "full_tensor") else rows
    return whole
