"""The quickstart with softmax in every fourth block: what linear attention blurs over all tokens, one block can look up."""

_base_ = "../quickstart_x4.py"

_linear = dict(type="ReLULinearAttention")

model = dict(denoiser=dict(attention=[_linear, _linear, _linear, dict(type="SoftmaxAttention")]))
