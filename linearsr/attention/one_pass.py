"""Linear attention by torch's own operations over all tokens at once: differentiable any number of times, on every device.

B pictures, H heads, N tokens, D width of a query's and a key's features, E width of a value.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def sum_tokens(k: Tensor, v: Tensor, wide: torch.dtype) -> Tensor:
    """k: features φ(k) [B, H, N, D]; v [B, H, N, E] -> Σ φ(k)ᵀ [v, 1]  [B, H, D, E + 1] in `wide`."""
    features = k.to(wide)
    return torch.cat([features.transpose(-1, -2) @ v.to(wide), features.sum(-2).unsqueeze(-1)], -1)


def read_tokens(q: Tensor, summary: Tensor, eps: float) -> Tensor:
    """q: features φ(q) [B, H, N, D]; summary: the sum of `sum_tokens` by N -> [B, H, N, E] in the summary's dtype."""
    result = q.to(summary.dtype) @ summary
    return result[..., :-1] / (result[..., -1:] + eps)


def attend_at_once(q: Tensor, k: Tensor, v: Tensor, wide: torch.dtype, eps: float, rectify: bool) -> Tensor:
    """q, k [B, H, N, D], v [B, H, N, E] -> [B, H, N, E] in v's dtype. rectify: φ = ReLU, else q and k are features already."""
    if rectify:
        q, k = q.relu(), k.relu()
    with without_autocast(q):
        return read_tokens(q, sum_tokens(k, v, wide) / k.shape[2], eps).to(v.dtype)


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Nothing is cast inside on x's device. On meta there is no autocast, and torch refuses to switch it off."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)
