"""LinearSR at 1.6B: 20 blocks of 2240. All else is linearsr_0.6b_x4's, but for half the batch."""

_base_ = "linearsr_0.6b_x4.py"

_size = dict(depth=20, width=2240, cross_head_width=112)
_expert = dict(_base_.model.denoiser, **_size)
_four = dict(_delete_=True, type="ExpertMixture", router=dict(type="SNRRouter"), expert=_expert)

model = dict(denoiser=_size)
train_dataloader = dict(batch_size=4)
stages = [
    dict(stage, override=dict(stage.override, model=dict(stage.override.model, denoiser=_four))) if "override" in stage else stage
    for stage in _base_.stages]
