"""Efficient attention: every channel of the keys is a map of the picture, and a query mixes what the maps gather."""

from torch import Tensor

from linearsr.attention.additive import AdditiveAttention
from linearsr.attention.exponential_state import ExponentialState, sum_exponentials
from linearsr.attention.functional import wide_dtype
from linearsr.attention.one_pass import without_autocast
from linearsr.core.registries import ATTENTION


@ATTENTION.register_module()
class EfficientAttention(AdditiveAttention):
    """o = softmax_channels(q) (softmax_tokens(k)ᵀ v) (Shen et al. 2021, section 3.2, softmax normalisation).

    Rows of the N×N matrix softmax_channels(q) softmax_tokens(k)ᵀ are positive and sum to 1, so nothing is divided afterwards.
    Cost: N·D² per head. A softmax over tokens adds up over tiles through its maximum: see ExponentialState. Options: qk_norm.
    """

    linear = True
    permutation_equivariant = True

    def summarise(self, k: Tensor, v: Tensor) -> ExponentialState:
        return sum_exponentials(k, v)

    def read(self, q: Tensor, state: ExponentialState) -> Tensor:
        means = state.channel_means()
        wide = wide_dtype(q, means)
        with without_autocast(q):
            return (q.to(wide).softmax(-1) @ means.to(wide)).to(q.dtype)

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        wide = wide_dtype(q, k, v)
        with without_autocast(q):
            weights = q.to(wide).softmax(-1) @ k.to(wide).softmax(-2).mT
            return (weights @ v.to(wide)).to(q.dtype)
