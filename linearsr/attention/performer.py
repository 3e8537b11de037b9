"""FAVOR+: softmax attention estimated by positive orthogonal random features."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from linearsr.attention.additive import AdditiveAttention
from linearsr.attention.exponential_state import ExponentialState, exp_below, sum_exponentials
from linearsr.attention.functional import LinearState, apply_state, linear_attention, wide_dtype
from linearsr.attention.one_pass import without_autocast
from linearsr.attention.reference import linear_attention_dense
from linearsr.core.registries import ATTENTION
from linearsr.core.values import require_count


@ATTENTION.register_module()
class PerformerAttention(AdditiveAttention):
    """Linear attention with φ_m(x) = exp(ω_m·y − |y|²/2), y = x / D^¼, ω_m standard normal (Choromanski et al. 2021, eq. 4–7).

    E[φ_m(q) φ_m(k)] = exp(q·k / √D), so with many features it comes to softmax attention, with an error of about 1/√M.
    Cost: N·M·D per head. Options: qk_norm, and
        num_features: M; None: round(D log D), at least D, the order that the paper proves to suffice

    In the quotient a factor that all features of a query share cancels (so its −|y|²/2 is left out), and one that the m-th
    features of all keys share may move to the queries' m-th. So features are kept as logarithms; the largest of the keys' m-th
    is brought to 1, then the largest of each query. Nothing overflows, and the denominator is at least 1, or 1/N where the sums
    are divided by N: EPS changes the result by a share of N·1e-15 at most.

    The ω are drawn once, the same for every head, from torch's global generator as weights are. State dicts carry them as
    `projections` [M, D]. Raises ConfigError if num_features < 1.
    """

    linear = True
    permutation_equivariant = True
    projections: Tensor

    def __init__(self, dim: int, num_heads: int, *, qk_norm: bool = False, num_features: int | None = None):
        super().__init__(dim, num_heads, qk_norm=qk_norm)
        head_width = dim // num_heads
        if num_features is None:
            num_features = max(head_width, round(head_width * log(head_width)))
        num_features = require_count(num_features, "attention.num_features")
        self.register_buffer("projections", orthogonal_projections(num_features, head_width))

    def summarise(self, k: Tensor, v: Tensor) -> ExponentialState:
        return sum_exponentials(key_logits(k, self.projections), v)

    def read(self, q: Tensor, state: ExponentialState) -> Tensor:
        features, _ = exp_below(query_logits(q, self.projections) + state.log_scale.mT, dim=-1)
        return apply_state(features, LinearState(state.key_values, state.keys, state.tokens)).to(q.dtype)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return linear_attention(*self.features(q, k), v)

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return linear_attention_dense(*self.features(q, k), v)

    def features(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """q, k [B, H, N, D]. Returns φ(q), φ(k) [B, H, N, M] up to factors that cancel; none above 1."""
        of_keys, log_scale = exp_below(key_logits(k, self.projections), dim=-2)
        of_queries, _ = exp_below(query_logits(q, self.projections) + log_scale, dim=-1)
        return of_queries, of_keys


def query_logits(q: Tensor, projections: Tensor) -> Tensor:
    """q [B, H, N, D], projections [M, D]. Returns log φ(q) + |y|²/2 [B, H, N, M]."""
    y = _tempered(q)
    with without_autocast(q):
        return y @ projections.to(y.dtype).mT


def key_logits(k: Tensor, projections: Tensor) -> Tensor:
    """k [B, H, N, D], projections [M, D]. Returns log φ(k) [B, H, N, M]."""
    return query_logits(k, projections) - _tempered(k).square().sum(-1, keepdim=True) / 2


def orthogonal_projections(num_features: int, width: int, generator: torch.Generator | None = None) -> Tensor:
    """[num_features, width]: each row standard normal; rows orthogonal within each block of `width` (section 2.4)."""
    blocks = -(-num_features // width)
    drawn, lengths = torch.randn(2, blocks, width, width, generator=generator, dtype=torch.float64)
    basis, triangle = torch.linalg.qr(drawn)
    directions = basis * triangle.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)  # else LAPACK's signs favour a direction
    rows = directions * lengths.norm(dim=-1, keepdim=True)
    return rows.flatten(0, 1)[:num_features].to(torch.get_default_dtype())


def _tempered(x: Tensor) -> Tensor:
    """x / D^¼, in at least float32: queries and keys share the temperature √D of softmax attention."""
    return x.to(wide_dtype(x)) * x.shape[-1] ** -0.25
