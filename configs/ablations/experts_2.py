"""Two experts, split where the published four have their anchor, each like the model of experts_1 and trained together as long."""

_base_ = "experts_1.py"

model = dict(
    denoiser=dict(
        _delete_=True,
        type="ExpertMixture",
        router=dict(type="SNRRouter", boundaries=[0.875]),
        expert=_base_.model.denoiser))
custom_hooks = [dict(type="ExpertLogHook")]
