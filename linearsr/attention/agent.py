"""Agent attention: a few tokens look at all the others, and all the others look at those few."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from linearsr.attention.functional import wide_dtype
from linearsr.attention.local_branch import LocalBranch, depthwise_dense
from linearsr.attention.multi_head import MultiHeadAttention
from linearsr.attention.one_pass import without_autocast
from linearsr.core.registries import ATTENTION
from linearsr.core.values import require_count


@ATTENTION.register_module()
class AgentAttention(MultiHeadAttention):
    """softmax(Q Aᵀ/√D) softmax(A Kᵀ/√D) V + depthwise(V), A the queries' means over a×a cells (Han et al. 2023).

    Cost: 4·N·a²·D of the two products and N·D·k² of the branch, a head. The paper's position biases, which are fixed to one
    resolution, are left out. Not additive: agents are means over the whole picture, and a tile has not seen it. For pictures
    in tiles use an additive attention, FocusedLinearAttention say, which has the same local branch.

    agent_side: a, the paper's 7, that is 49 agents; a grid of H×W tokens has min(a, H)·min(a, W)
    kernel:     k, odd, of the depthwise convolution [H, D, k, k]; the paper's 3
    """

    linear = True

    def __init__(self, dim: int, num_heads: int, *, agent_side: int = 7, kernel: int = 3, qk_norm: bool = False):
        super().__init__(dim, num_heads, qk_norm=qk_norm)
        self.agent_side = require_count(agent_side, "attention.agent_side")
        self.local = LocalBranch(num_heads, dim // num_heads, kernel)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        agents = cell_means(q, grid, self.agent_side)
        return (agent_attention(q, k, v, agents) + self.local(v, grid)).to(v.dtype)

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        picture = rearrange(q.to(wide_dtype(q)), "b h (y x) d -> b (h d) y x", y=grid[0])
        pooled = F.adaptive_avg_pool2d(picture, (min(self.agent_side, grid[0]), min(self.agent_side, grid[1])))
        agents = rearrange(pooled, "b (h d) y x -> b h (y x) d", h=q.shape[1])
        return (agent_attention_dense(q, k, v, agents) + self.local(v, grid, depthwise_dense)).to(v.dtype)


def agent_attention(q: Tensor, k: Tensor, v: Tensor, agents: Tensor) -> Tensor:
    """q, k: [B, H, N, D]; v: [B, H, N, E]; agents: [B, H, A, D]. Returns [B, H, N, E] in at least float32."""
    wide = wide_dtype(q, k, v, agents)
    q, k, v, agents = q.to(wide), k.to(wide), v.to(wide), agents.to(wide)
    with without_autocast(q):
        gathered = F.scaled_dot_product_attention(agents, k, v)
        return F.scaled_dot_product_attention(q, agents, gathered)


def agent_attention_dense(q: Tensor, k: Tensor, v: Tensor, agents: Tensor) -> Tensor:
    """The same, with the whole N×N matrix of what each token gets of each."""
    wide = wide_dtype(q, k, v, agents)
    q, k, agents, scale = q.to(wide), k.to(wide), agents.to(wide), q.shape[-1] ** -0.5
    with without_autocast(q):
        read, gather = (q @ agents.mT * scale).softmax(-1), (agents @ k.mT * scale).softmax(-1)
        return (read @ gather) @ v.to(wide)


def cell_means(heads: Tensor, grid: tuple[int, int], side: int) -> Tensor:
    """heads [B, H, N, D] -> [B, H, A, D], at least float32: means over min(side, H)·min(side, W) cells of the grid.

    Cells are those of adaptive average pooling. As matrix products, because the gradient of torch's own pooling has no
    deterministic form on CUDA.
    """
    wide = wide_dtype(heads)
    over_rows, over_columns = (_means(size, min(side, size), wide, heads.device) for size in grid)
    with without_autocast(heads):
        rows = over_columns @ heads.to(wide).unflatten(2, grid)  # [B, H, height, cells, D]
        return (over_rows @ rows.flatten(3)).unflatten(3, (-1, heads.shape[-1])).flatten(2, 3)


def _means(size: int, cells: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[cells, size], rows of sum 1: cell c holds the tokens from ⌊c·size/cells⌋ up to ⌈(c+1)·size/cells⌉, without the last."""
    cell, token = torch.arange(cells, device=device)[:, None], torch.arange(size, device=device)
    inside = ((token >= cell * size // cells) & (token < -(-(cell + 1) * size // cells))).to(dtype)
    return inside / inside.sum(-1, keepdim=True)
