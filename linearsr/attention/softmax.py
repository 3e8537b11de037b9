"""Softmax attention: quadratic, what linear attention is compared with."""

import torch.nn.functional as F
from torch import Tensor

from linearsr.attention.multi_head import MultiHeadAttention
from linearsr.attention.reference import softmax_attention_dense
from linearsr.core.registries import ATTENTION


@ATTENTION.register_module()
class SoftmaxAttention(MultiHeadAttention):
    """Scaled dot-product attention by torch's own kernels. Options: qk_norm."""

    linear = False
    permutation_equivariant = True
    additive = False

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return softmax_attention_dense(q, k, v)
