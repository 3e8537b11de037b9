"""Four experts at the published boundaries, by log-SNR (LinearSR, Tab. 5)."""

_base_ = "experts_2.py"

model = dict(denoiser=dict(router=dict(boundaries=[0.223, 0.875, 0.939])))
