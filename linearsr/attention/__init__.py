"""Token mixing: kernels as pure functions, one file per variant."""

from linearsr.attention.relu_linear import ReLULinearAttention
from linearsr.attention.softmax import SoftmaxAttention

__all__ = ["ReLULinearAttention", "SoftmaxAttention"]
