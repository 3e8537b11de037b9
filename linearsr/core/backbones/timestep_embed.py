"""The time as a vector."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FREQUENCIES = 256
PERIOD = 10000.0
TIME_SCALE = 1000.0
"""The network sees 1000·t (Sana). The factor is applied here and nowhere else."""


def sinusoid(t: Tensor) -> Tensor:
    """t [B], float32 or float64, 0 = clean, 1 = noise -> float32 [B, 256], cosines first (DDPM, Sana).

    1000·t is taken in t's own precision and the angles in float32, as the networks whose weights we load had them.
    """
    half = FREQUENCIES // 2
    rates = torch.exp(-math.log(PERIOD) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = (TIME_SCALE * t).float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], -1)


class TimestepEmbed(nn.Module):
    """Linear, SiLU, Linear on the sinusoid: t [B], here or on the host -> [B, dim]."""

    def __init__(self, dim: int):
        super().__init__()
        self.linear_1 = nn.Linear(FREQUENCIES, dim)
        self.linear_2 = nn.Linear(dim, dim)

    def forward(self, t: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(sinusoid(t).to(self.linear_1.weight, non_blocking=True))))
