"""The quickstart with a token that says nothing: what guidance adds, at the same layers and weights."""

_base_ = "../quickstart_x4.py"

model = dict(guidance=dict(type="NullGuidance"))
