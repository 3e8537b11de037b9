"""The whole recipe, tiny: pre-training → four experts → fine-tuning, each from the knee of the stage before, on the bundled photos.

Learning rates are constant after their warm-up: where a schedule falls to 0, every run ends in a plateau. Fine-tuning sees large
crops of few photos, as a small set of high quality would be.
"""

_base_ = "quickstart_x4.py"

_dense = _base_.model.denoiser
_four = dict(_delete_=True, type="ExpertMixture", router=dict(type="SNRRouter", boundaries=[0.223, 0.875, 0.939]), expert=_dense)
_share = [0.1, 0.3, 0.2, 0.4]  # of the samples; the fourth restores in one step

train_cfg = dict(max_iters=1000, val_interval=20)  # at most: a stage ends when its knee is confirmed
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=20)]
default_hooks = dict(
    checkpoint=dict(interval=100),
    pictures=None,
    knee=dict(type="KneeHook", knee=dict(type="KneeDetector", directions={"psnr_y": +1}, epsilon=0.1, patience=4)))

stages = [
    dict(name="pretrain"),
    dict(name="experts", override=dict(
        model=dict(denoiser=_four, expert_shares=_share),
        optim_wrapper=dict(optimizer=dict(lr=1e-3)),
        custom_hooks=[dict(type="ExpertLogHook")])),
    dict(name="finetune", override=dict(
        model=dict(denoiser=_four, expert_shares=_share),
        optim_wrapper=dict(optimizer=dict(lr=2e-4)),
        train_dataloader=dict(batch_size=2, dataset=dict(pipeline={"1": dict(size=160)})))),
]
