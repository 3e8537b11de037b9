"""Linear attention with any feature map: a subclass writes φ and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from linearsr.attention.additive import AdditiveAttention
from linearsr.attention.functional import LinearState, apply_state, linear_attention, sum_state, wide_dtype
from linearsr.attention.one_pass import without_autocast
from linearsr.attention.reference import linear_attention_dense


class FeatureMapAttention(AdditiveAttention):
    """Base: o_i = φ(q_i) Σ φ(k_j)ᵀ v_j / (φ(q_i) Σ φ(k_j)ᵀ + eps), φ nowhere negative.

    A subclass gives `features`, or `query_features` and `key_features` where the two differ. They look at one token at a time.
    """

    linear = True
    permutation_equivariant = True

    def features(self, x: Tensor) -> Tensor:
        """[B, H, N, D] -> [B, H, N, M], nowhere negative."""
        raise NotImplementedError

    def query_features(self, q: Tensor) -> Tensor:
        return self.features(q)

    def key_features(self, k: Tensor) -> Tensor:
        return self.features(k)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return linear_attention(self.query_features(q), self.key_features(k), v)

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return linear_attention_dense(self.query_features(q), self.key_features(k), v)

    def summarise(self, k: Tensor, v: Tensor) -> LinearState:
        return sum_state(self.key_features(k), v)

    def read(self, q: Tensor, state: LinearState) -> Tensor:
        return apply_state(self.query_features(q), state).to(q.dtype)

    @torch.no_grad()
    def vital_signs(self, x: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """x [B, N, C]. Returns what `extremes` does, of these tokens."""
        q, k, v = self.split(x, grid)
        return extremes(self.query_features(q), self.summarise(k, v))


def extremes(q: Tensor, state: LinearState) -> tuple[Tensor, Tensor]:
    """q: features φ(q) [B, H, N, D]. Returns two scalars: the smallest denominator φ(q_i) n above 0, as it is before eps is
    added, and the largest |entry| of S and n, as they are divided by the number of tokens.

    A denominator of 0 is that of a dead row, which is 0 by definition; where all are, the smallest is infinite.
    """
    wide = wide_dtype(q, state.keys)
    with without_autocast(q):
        sums = torch.cat([state.key_values, state.keys], -1).to(wide) / state.tokens
        denominators = q.to(wide) @ sums[..., -1:]
        return torch.where(denominators == 0, torch.inf, denominators).min(), sums.abs().max()
