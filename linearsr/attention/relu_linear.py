"""The attention of Sana and LinearSR: cost grows linearly with the number of tokens."""

from torch import Tensor

from linearsr.attention.feature_map import FeatureMapAttention
from linearsr.attention.functional import relu_linear_attention
from linearsr.core.registries import ATTENTION


@ATTENTION.register_module()
class ReLULinearAttention(FeatureMapAttention):
    """Linear attention with φ = ReLU (LinearSR, Sana). Options: qk_norm."""

    def features(self, x: Tensor) -> Tensor:
        return x.relu()

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return relu_linear_attention(q, k, v)
