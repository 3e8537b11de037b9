"""Token mixing: kernels as pure functions, one file per variant."""

from linearsr.attention.agent import AgentAttention
from linearsr.attention.efficient import EfficientAttention
from linearsr.attention.elu_linear import ELULinearAttention
from linearsr.attention.focused import FocusedLinearAttention
from linearsr.attention.hedgehog import HedgehogAttention
from linearsr.attention.multi_scale import MultiScaleReLULinearAttention
from linearsr.attention.performer import PerformerAttention
from linearsr.attention.relu_linear import ReLULinearAttention
from linearsr.attention.softmax import SoftmaxAttention
from linearsr.attention.window import WindowAttention

__all__ = [
    "AgentAttention",
    "ELULinearAttention",
    "EfficientAttention",
    "FocusedLinearAttention",
    "HedgehogAttention",
    "MultiScaleReLULinearAttention",
    "PerformerAttention",
    "ReLULinearAttention",
    "SoftmaxAttention",
    "WindowAttention",
]
