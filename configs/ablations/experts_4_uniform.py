"""Four experts at equal times, as LinearSR, Tab. 5 compares them."""

_base_ = "experts_2.py"

model = dict(denoiser=dict(router=dict(_delete_=True, type="UniformRouter", num_experts=4)))
