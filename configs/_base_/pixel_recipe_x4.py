"""×4 without pretrained weights: the residual over bicubic as the latent, and a recipe that trains in minutes on two CPU cores.

The preconditioner makes one step from t = 1 deterministic: the minimum-error picture. Four steps add texture.
"""

model = dict(
    type="LinearSR",
    upscale=4,
    autoencoder=dict(type="ResidualPixelShuffle"),
    denoiser=dict(
        type="LinearDiT",
        depth=4,
        width=64,
        head_width=32,
        zero_init=True,
        attention=dict(type="ReLULinearAttention"),
        feed_forward=dict(type="GatedConvFeedForward", ratio=2.0),
        lr_stem=dict(type="ConvStem", width=64, depth=2)),
    preconditioner=dict(type="VelocityPreconditioner"),
    path=dict(type="RectifiedFlow"),
    time_sampler=dict(type="EndWeightedTimes", p_end=0.3),
    time_grid=dict(type="UniformGrid"),
    solver=dict(type="Euler"))

optim_wrapper = dict(
    type="PrecisionOptimWrapper",  # dtype="bfloat16": docs/precision.md
    optimizer=dict(type="AdamW", lr=4e-3, betas=(0.9, 0.99), weight_decay=0.01),
    clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=0.05),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=0.05, end=1.0, T_max=0.95),
]
