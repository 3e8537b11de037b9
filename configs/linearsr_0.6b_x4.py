"""LinearSR at its own size, 0.6B: Sana's 28 blocks of 1152 on DC-AE latents, TAG, four experts, three stages from knee to knee.

LINEARSR_DATA: folder with train/LSDIR, train/FFHQ (its first 10,000) and the test sets in eval/; LINEARSR_WEIGHTS: folder with
dc-ae-f32c32-sana-1.0, gemma-2-2b-it, ram_swin_large_14m.pth and bert-base-uncased. What it costs: python tools/inspect_model.py.
Photos are tagged and their tags encoded before the run, by python tools/cache_guidance.py with this config; LINEARSR_CACHE: where to.
The paper leaves batch size, learning rate, degradation preset and the fine-tuning set open; those here are our choice.
"""

import os

_base_ = "_base_/runtime.py"

_data = os.environ.get("LINEARSR_DATA", "data")
_weights = os.environ.get("LINEARSR_WEIGHTS", "weights")
_cache = os.environ.get("LINEARSR_CACHE", "cache")
_scale = 4

_tags = dict(
    type="TagGuidance",
    tagger=dict(type="RAMTagger", weights=f"{_weights}/ram_swin_large_14m.pth", tokenizer=f"{_weights}/bert-base-uncased"),
    text_encoder=dict(type="GemmaTextEncoder", folder=f"{_weights}/gemma-2-2b-it", dtype="bfloat16", device=None))
_describe = dict(type="Describe", guidance=_tags, cache=f"{_cache}/tags")

_dense = dict(
    type="LinearDiT",
    depth=28,
    width=1152,
    head_width=32,
    cross_head_width=72,
    attention=dict(type="ReLULinearAttention"),
    feed_forward=dict(type="GatedConvFeedForward", ratio=2.5),
    lr_stem=dict(type="ConvStem", width=64, depth=3))

model = dict(
    type="LinearSR",
    upscale=_scale,
    autoencoder=dict(type="DCAE", folder=f"{_weights}/dc-ae-f32c32-sana-1.0", dtype="bfloat16"),
    denoiser=_dense,
    guidance=_tags,
    path=dict(type="RectifiedFlow"),
    time_sampler=dict(type="LogitNormalTimes", shift=3.0),
    time_grid=dict(type="ShiftedGrid", shift=3.0),
    solver=dict(type="DPMSolver", order=2))

_one_by_one = dict(batch_size=1, num_workers=2, sampler=dict(type="DefaultSampler", shuffle=False))
_load = [dict(type="LoadPictures"), _describe]
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    sampler=dict(type="DrawSampler"),
    dataset=dict(
        type="HRFolder",
        name="train",
        root=[f"{_data}/train/LSDIR", f"{_data}/train/FFHQ"],
        pipeline=[
            dict(type="LoadPictures"),
            _describe,
            dict(type="RandomCrop", size=512, scale=_scale),
            dict(type="RandomFlipRotate"),
            dict(type="RealESRGANDegradation", scale=_scale, preset="SeeSR"),
        ]))
_pairs = [
    dict(type="PairedFolders", name=_name, hr_root=f"{_data}/eval/{_name}/HR", lr_root=f"{_data}/eval/{_name}/LR", pipeline=_load)
    for _name in ("RealSR", "DRealSR")]
_real = dict(type="LRFolder", name="RealLQ250", root=f"{_data}/eval/RealLQ250/LR", pipeline=_load)
val_dataloader = dict(dataset=_pairs[0], **_one_by_one)
test_dataloader = dict(dataset=dict(type="JoinedDatasets", datasets=[*_pairs, _real]), **_one_by_one)
_metrics = dict(type="PictureMetrics", crop_border=0, niqe_params=f"{_data}/weights/niqe_pris_params.npz")
val_evaluator = dict(metrics=["psnr_y", "niqe"], **_metrics)
test_evaluator = dict(metrics=["psnr_y", "ssim_y", "niqe"], **_metrics)

train_cfg = dict(max_iters=100000, val_interval=2000)  # at most: a stage ends when its knee is confirmed
val_cfg = dict(num_steps=[20], dtype="bfloat16")
test_cfg = dict(num_steps=[20], dtype="bfloat16")
optim_wrapper = dict(
    type="PrecisionOptimWrapper",
    dtype="bfloat16",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.01),
    clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=1000)]
default_hooks = dict(
    checkpoint=dict(interval=2000),
    averaging=dict(momentum=1e-4),
    knee=dict(type="KneeHook", knee=dict(type="KneeDetector", directions={"psnr_y": +1, "niqe": -1})))

_four = dict(_delete_=True, type="ExpertMixture", router=dict(type="SNRRouter"), expert=_dense)
_share = [0.1, 0.4, 0.25, 0.25]  # of the samples: by the sampler's own measure the first would get 1 in 100
_experts = dict(
    model=dict(denoiser=_four, expert_shares=_share), optim_wrapper=dict(optimizer=dict(lr=5e-5)),
    custom_hooks=[dict(type="ExpertLogHook")])
stages = [
    dict(name="pretrain"),
    dict(name="experts", override=_experts),
    dict(name="finetune", override=dict(
        _experts, optim_wrapper=dict(optimizer=dict(lr=1e-5)), train_cfg=dict(max_iters=20000),
        train_dataloader=dict(dataset=dict(root=f"{_data}/train/fine")))),
]
