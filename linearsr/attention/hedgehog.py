"""Hedgehog: a learned feature map that can be as spiky as softmax attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from linearsr.attention.feature_map import FeatureMapAttention
from linearsr.attention.functional import wide_dtype
from linearsr.attention.one_pass import without_autocast
from linearsr.core.registries import ATTENTION


@ATTENTION.register_module()
class HedgehogAttention(FeatureMapAttention):
    """Linear attention with φ(x) = softmax([W x, −W x]), W [D, D] learned for each head, queries and keys apart.

    The map with negation, [exp(W x), exp(−W x)], in its variant with a softmax over a token's features (Zhang et al. 2024).
    The form taken here is one softmax over both halves: weights are those of the map without it, but for a factor of each key.
    No bias (our choice); W starts as the identity. Cost: 4·N·D² per head: two maps, and sums of 2D features. Options: qk_norm.

    A query so far from every key that their features' products sink to EPS is answered by less and less, down to 0.
    """

    def __init__(self, dim: int, num_heads: int, *, qk_norm: bool = False):
        super().__init__(dim, num_heads, qk_norm=qk_norm)
        identity = torch.eye(dim // num_heads).repeat(num_heads, 1, 1)
        self.query_map = nn.Parameter(identity)
        self.key_map = nn.Parameter(identity.clone())

    def query_features(self, q: Tensor) -> Tensor:
        return hedgehog_features(q, self.query_map)

    def key_features(self, k: Tensor) -> Tensor:
        return hedgehog_features(k, self.key_map)


def hedgehog_features(x: Tensor, weight: Tensor) -> Tensor:
    """x [B, H, N, D], weight [H, D, D]. Returns [B, H, N, 2D], positive, each token's sum 1, in at least float32."""
    wide = wide_dtype(x, weight)
    with without_autocast(x):
        mapped = x.to(wide) @ weight.to(wide).mT
        return torch.cat([mapped, -mapped], dim=-1).softmax(-1)
