"""Sums of exponentials over tokens that cannot overflow: each channel keeps its largest exponent apart.

    S_m = Σ_j exp(a_jm) v_j,   n_m = Σ_j exp(a_jm),   kept as exp(−c_m) S_m and exp(−c_m) n_m with c_m = max_j a_jm

B pictures, H heads, N tokens, M channels, E width of a value. States of disjoint tokens add as log-sum-exps do: both are
brought to the larger c_m first. (The running maximum of online softmax, Milakov & Gimelshein 2018, one per channel.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from linearsr.attention.functional import EPS, LinearState, sum_state, wide_dtype
from linearsr.core.errors import ShapeError


@dataclass(frozen=True)
class ExponentialState:
    """What all tokens tell each query, divided by exp(log_scale); states of disjoint tokens add.

    log_scale:  max_j a [B, H, M, 1], finite, constant for the gradient: what is read from a state does not depend on it
    key_values: Σ exp(a − log_scale)ᵀ v [B, H, M, E]
    keys:       Σ exp(a − log_scale)ᵀ [B, H, M, 1], at least 1; 0 where every a is −inf
    tokens:     how many were summed
    """

    log_scale: Tensor
    key_values: Tensor
    keys: Tensor
    tokens: int

    def __add__(self, other: ExponentialState) -> ExponentialState:
        log_scale = torch.maximum(self.log_scale, other.log_scale)
        total = self.at(log_scale) + other.at(log_scale)
        return ExponentialState(log_scale, total.key_values, total.keys, total.tokens)

    def at(self, log_scale: Tensor) -> LinearState:
        """The sums divided by another exp(log_scale) [B, H, M, 1], nowhere below this state's own."""
        factor = (self.log_scale - log_scale).exp()
        return LinearState(factor * self.key_values, factor * self.keys, self.tokens)

    def channel_means(self) -> Tensor:
        """Σ_j softmax_j(a)ᵀ v [B, H, M, E]; exactly 0 for a channel in which every a is −inf."""
        return self.key_values / (self.keys + EPS)


def sum_exponentials(logits: Tensor, v: Tensor) -> ExponentialState:
    """logits a [B, H, N, M], any size up to the largest finite number, or −inf; v [B, H, N, E]. Sums over N."""
    features, log_scale = exp_below(logits, dim=-2)
    sums = sum_state(features, v)
    return ExponentialState(log_scale.mT, sums.key_values, sums.keys, sums.tokens)


def exp_below(logits: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """exp(logits − maximum) and the maximum along `dim`, which is kept; both in at least float32.

    The maximum is constant for the gradient and finite: where all are −inf it is the lowest number, and the exponentials are 0.
    Raises ShapeError where there is nothing to take a maximum of.
    """
    if 0 in logits.shape:
        raise ShapeError(f"queries or keys are {list(logits.shape)}; wanted at least one picture, one token and one channel")
    wide = logits.to(wide_dtype(logits))
    maximum = wide.detach().amax(dim, keepdim=True).clamp(min=torch.finfo(wide.dtype).min)
    return (wide - maximum).exp(), maximum
