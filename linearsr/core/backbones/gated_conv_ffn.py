"""The Mix-FFN: a gated feed-forward with a depthwise convolution, which is where Sana gets its sense of place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from linearsr.core.backbones.strips import Weights, feed_forward_in_strips
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.registries import FEED_FORWARDS
from linearsr.core.triton_support import on_triton
from linearsr.core.values import require_count, require_positive

CPU_STRIP = 1024
"""Tokens of a strip on a CPU: enough for its matrix products; 256 are slower, more only need more memory."""


@FEED_FORWARDS.register_module()
class GatedConvFeedForward(nn.Module):
    """Pointwise to 2h, SiLU, depthwise 3×3, split in value and gate, value·SiLU(gate), pointwise back (Sana's GLUMBConv).

    dim: D, width of a token; ratio: h = int(ratio·D), 2.5 in Sana. Zero padding, no bias on the way back, no residual.
    strip_tokens: without gradients, a picture of more tokens is worked on in strips of rows of about so many, with the same
                  result, so that [N, 2h] never exists as a whole; by default in strips of CPU_STRIP on a CPU, whole elsewhere
    """

    halo = 1

    def __init__(self, dim: int, *, ratio: float = 2.5, strip_tokens: int | None = None):
        super().__init__()
        hidden = int(require_positive(ratio, "feed_forward.ratio") * dim)
        if hidden < 1:
            raise ConfigError(f"feed_forward.ratio={ratio} leaves no channel at a width of {dim}; wanted ratio ≥ {1 / dim}")
        if strip_tokens is not None:
            require_count(strip_tokens, "feed_forward.strip_tokens")
        self.expand = nn.Linear(dim, 2 * hidden)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.contract = nn.Linear(hidden, dim, bias=False)
        self.strip_tokens = strip_tokens

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """x [B, N, D] with N = grid[0]·grid[1], row by row -> [B, N, D]. Raises ShapeError."""
        if x.ndim != 3 or x.shape[1] != grid[0] * grid[1]:
            raise ShapeError(f"tokens are {list(x.shape)} on a grid {grid}; wanted [B, {grid[0] * grid[1]}, D]")
        if rows := self._rows_of_a_strip(x, grid):
            return self._in_strips(x, grid, rows)
        return self.contract(self._gated(self.expand(x), grid))

    def _gated(self, expanded: Tensor, grid: tuple[int, int]) -> Tensor:
        """[B, N, 2h] before its SiLU -> value·SiLU(gate) [B, N, h]."""
        if on_triton(expanded) and _is_plain(self.depthwise):
            from linearsr.core.backbones import triton_depthwise  # imports Triton, so not before a CUDA tensor has come

            picture = expanded.unflatten(1, grid)
            if triton_depthwise.supports(picture):
                weights = self.depthwise.weight, _bias(self.depthwise)
                return triton_depthwise.gated_depthwise(picture, *weights, activate=True).flatten(1, 2)
        # the tokens are the picture in channels-last memory, in which a depthwise convolution is fastest
        picture = rearrange(F.silu(expanded), "b (h w) c -> b c h w", h=grid[0])
        value, gate = rearrange(self.depthwise(picture), "b c h w -> b (h w) c").chunk(2, dim=-1)
        return value * F.silu(gate)

    def _rows_of_a_strip(self, x: Tensor, grid: tuple[int, int]) -> int:
        """0 where the picture is worked on as a whole. A compiled loop would be tied to one size of picture."""
        tokens = self.strip_tokens or (CPU_STRIP if x.device.type == "cpu" else x.shape[1] + 1)
        plain = all(map(_is_plain, (self.expand, self.depthwise, self.contract)))
        if x.shape[1] < tokens or not plain or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return 0
        return max(1, tokens // grid[1])

    def _in_strips(self, x: Tensor, grid: tuple[int, int], rows: int) -> Tensor:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        parameters = (
            *(self.expand.weight, _bias(self.expand)),
            *(self.depthwise.weight, _bias(self.depthwise)),
            self.contract.weight,
        )
        weights = Weights(*(parameter.to(dtype) for parameter in parameters))
        x = x.to(dtype).contiguous().unflatten(1, grid)
        out = torch.empty_like(x)
        with torch.autocast(device, enabled=False):
            for picture, result in zip(x, out, strict=True):
                feed_forward_in_strips(picture, result, weights, rows)
        return out.flatten(1, 2)


def _is_plain(part: nn.Module) -> bool:
    """Whether calling it does what its weights say and no more: torch's own class, not an adapter, and without hooks."""
    hooks = (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks)
    return type(part) in (nn.Linear, nn.Conv2d) and not any(hooks)


def _bias(part: nn.Linear | nn.Conv2d) -> Tensor:
    assert part.bias is not None
    return part.bias
