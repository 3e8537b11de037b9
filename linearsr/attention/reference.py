"""The N×N form of every attention here: slow, obvious, and what the fast forms are tested against."""

import torch
from torch import Tensor

from linearsr.attention.functional import EPS


def relu_linear_attention_dense(q: Tensor, k: Tensor, v: Tensor, *, eps: float = EPS) -> Tensor:
    """q, k: [B, H, N, D]; v: [B, H, N, E]. Returns [B, H, N, E] in v's dtype; builds the whole N×N matrix."""
    wide = torch.promote_types(torch.promote_types(q.dtype, v.dtype), torch.float32)
    with torch.autocast(q.device.type, enabled=False):
        weights = q.to(wide).relu() @ k.to(wide).relu().transpose(-1, -2) / k.shape[2]
        return (weights @ v.to(wide) / (weights.sum(-1, keepdim=True) + eps)).to(v.dtype)


def softmax_attention_dense(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q, k: [B, H, N, D]; v: [B, H, N, E]. Returns [B, H, N, E] in v's dtype; builds the whole N×N matrix."""
    wide = torch.promote_types(torch.promote_types(q.dtype, v.dtype), torch.float32)
    with torch.autocast(q.device.type, enabled=False):
        scores = q.to(wide) @ k.to(wide).transpose(-1, -2) / q.shape[-1] ** 0.5
        return (scores.softmax(-1) @ v.to(wide)).to(v.dtype)
