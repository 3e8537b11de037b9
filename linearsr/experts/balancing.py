"""What keeps a router that learns from sending everything to one expert."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def load_balance(weights: Tensor) -> Tensor:
    """K Σ_k f_k P_k (Switch Transformer, eq. 4–6): 1 where weights are equal, K where one expert has all of them.

    weights: [B, K], rows that sum to 1. f, the share of pictures whose largest weight is k's, has no gradient; P is the mean
    weight. A scalar in the weights' type.
    """
    num_experts = weights.shape[1]
    served = F.one_hot(weights.argmax(1), num_experts).to(weights.dtype).mean(0)
    return num_experts * (served * weights.mean(0)).sum()
