"""An expert's own part of a matrix that all experts share, in few numbers (LoRA, Hu et al. 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

DOWN, UP = "lora_down", "lora_up"


class LowRankLinear(nn.Linear):
    """weight = base + up·down; base [out, in] belongs to the trunk, down [r, in] and up [out, r] to this expert.

    Made by `adapt`. Whoever reads `weight` gets the sum, so that layers which use only rows of it are adapted too.
    """

    base: Tensor
    lora_down: nn.Parameter
    lora_up: nn.Parameter

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        return adapted(self.base, self.lora_up, self.lora_down)


def adapted(base: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """base [out, in], up [out, r], down [r, in] -> [out, in]."""
    return base + up @ down


def adapt(linear: nn.Linear, rank: int) -> None:
    """In place: its weight becomes `base`, to be tied to the trunk's, plus a product that begins as exactly 0 (LoRA, § 4.1)."""
    weight = linear._parameters.pop("weight")
    assert weight is not None
    linear.__class__ = LowRankLinear
    linear.__dict__["base"] = weight
    down = torch.empty(rank, linear.in_features, dtype=weight.dtype, device=weight.device)
    linear.register_parameter(DOWN, nn.Parameter(nn.init.kaiming_uniform_(down, a=math.sqrt(5))))  # as nn.Linear's
    linear.register_parameter(UP, nn.Parameter(weight.new_zeros(linear.out_features, rank)))
