"""Two experts, split where the published four have their anchor: copies of the dense model of experts_1, trained in equal shares."""

_base_ = "experts_1.py"

_mixture = dict(
    _delete_=True, type="ExpertMixture", router=dict(type="SNRRouter", boundaries=[0.875]), expert=_base_.model.denoiser)

stages = [
    dict(name="pretrain"),
    dict(name="experts", init="pretrain@last", override=dict(
        model=dict(denoiser=_mixture, expert_shares=[1, 1]),
        custom_hooks=[dict(type="ExpertLogHook")])),
]
