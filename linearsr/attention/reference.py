"""The N×N forms: slow, obvious, and what the fast forms are tested against."""

from torch import Tensor

from linearsr.attention.functional import EPS, wide_dtype
from linearsr.attention.one_pass import without_autocast


def linear_attention_dense(q: Tensor, k: Tensor, v: Tensor, *, eps: float = EPS) -> Tensor:
    """q, k: features φ(q), φ(k) [B, H, N, D]; v: [B, H, N, E]. Returns [B, H, N, E] in v's dtype; the whole N×N matrix."""
    wide = wide_dtype(q, k, v)
    with without_autocast(q):
        weights = q.to(wide) @ k.to(wide).transpose(-1, -2) / k.shape[2]
        return (weights @ v.to(wide) / (weights.sum(-1, keepdim=True) + eps)).to(v.dtype)


def relu_linear_attention_dense(q: Tensor, k: Tensor, v: Tensor, *, eps: float = EPS) -> Tensor:
    """The same with φ = ReLU."""
    return linear_attention_dense(q.relu(), k.relu(), v, eps=eps)


def softmax_attention_dense(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q, k: [B, H, N, D]; v: [B, H, N, E]. Returns [B, H, N, E] in v's dtype; builds the whole N×N matrix."""
    wide = wide_dtype(q, k, v)
    with without_autocast(q):
        scores = q.to(wide) @ k.to(wide).transpose(-1, -2) / q.shape[-1] ** 0.5
        return (scores.softmax(-1) @ v.to(wide)).to(v.dtype)
