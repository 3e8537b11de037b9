"""A patch embedding for more input channels that at first ignores the new ones."""

from __future__ import annotations

import torch
from torch import Tensor


def widen_input(weight: Tensor, channels: int) -> Tensor:
    """weight [D, C, p, p] -> [D, channels, p, p]: the old channels copied, the new ones 0 (LinearSR).

    So the output is at first the old one whatever the new channels hold, while their gradient is not 0.
    """
    extra = weight.new_zeros(weight.shape[0], channels - weight.shape[1], *weight.shape[2:])
    return torch.cat([weight, extra], dim=1)
