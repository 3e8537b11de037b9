"""The first linear attention of transformers: a feature map that is nowhere zero."""

from torch import Tensor

from linearsr.attention.feature_map import FeatureMapAttention
from linearsr.attention.functional import wide_dtype
from linearsr.core.registries import ATTENTION


@ATTENTION.register_module()
class ELULinearAttention(FeatureMapAttention):
    """Linear attention with φ(x) = elu(x) + 1, which is x + 1 above 0 and exp(x) below (Katharopoulos et al. 2020, eq. 7).

    Every weight is positive; a row is dead only where exp(x) sinks to EPS, below −30 in all entries.
    Cost: N·D² per head, as with ReLU. Options: qk_norm.
    """

    def features(self, x: Tensor) -> Tensor:
        """[B, H, N, D] -> [B, H, N, D] in at least float32.

        Added up from its two sides: elu(x) + 1 is exp(x) − 1 + 1 below 0, which float32 rounds to 0 from x = −17 on.
        """
        x = x.to(wide_dtype(x))
        return x.relu() + x.clamp(max=0).exp()
