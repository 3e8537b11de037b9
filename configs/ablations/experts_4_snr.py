"""Four experts at the published boundaries, by log-SNR (LinearSR, Tab. 5); otherwise as experts_2."""

_base_ = "experts_1.py"

_mixture = dict(
    _delete_=True, type="ExpertMixture", router=dict(type="SNRRouter", boundaries=[0.223, 0.875, 0.939]),
    expert=_base_.model.denoiser)

stages = [
    dict(name="pretrain"),
    dict(name="experts", init="pretrain@last", override=dict(
        model=dict(denoiser=_mixture, expert_shares=[1, 1, 1, 1]),
        custom_hooks=[dict(type="ExpertLogHook")])),
]
