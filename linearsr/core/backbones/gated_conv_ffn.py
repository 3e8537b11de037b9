"""The Mix-FFN: a gated feed-forward with a depthwise convolution, which is where Sana gets its sense of place."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.registries import FEED_FORWARDS


@FEED_FORWARDS.register_module()
class GatedConvFeedForward(nn.Module):
    """Pointwise to 2h, SiLU, depthwise 3×3, split in value and gate, value·SiLU(gate), pointwise back (Sana's GLUMBConv).

    dim: D, width of a token; ratio: h = int(ratio·D), 2.5 in Sana. Zero padding, no bias on the way back, no residual.
    """

    def __init__(self, dim: int, *, ratio: float = 2.5):
        super().__init__()
        hidden = int(ratio * dim)
        if hidden < 1:
            raise ConfigError(f"feed_forward.ratio={ratio} leaves no channel at a width of {dim}; wanted ratio ≥ {1 / dim}")
        self.expand = nn.Linear(dim, 2 * hidden)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.contract = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """x [B, N, D] with N = grid[0]·grid[1], row by row -> [B, N, D]. Raises ShapeError."""
        if x.ndim != 3 or x.shape[1] != grid[0] * grid[1]:
            raise ShapeError(f"tokens are {list(x.shape)} on a grid {grid}; wanted [B, {grid[0] * grid[1]}, D]")
        # the tokens are the picture in channels-last memory, in which a depthwise convolution is fastest
        picture = rearrange(F.silu(self.expand(x)), "b (h w) c -> b c h w", h=grid[0])
        mixed = rearrange(self.depthwise(picture), "b c h w -> b (h w) c")
        value, gate = mixed.chunk(2, dim=-1)
        return self.contract(value * F.silu(gate))
