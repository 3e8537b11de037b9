"""Train on the photos bundled with scikit-image and scikit-learn; test on the held-out three, and on
Set5 (with NIQE) where the folder that LINEARSR_DATA names has it."""

import os

_data = os.environ.get("LINEARSR_DATA", "data")
_has_set5 = os.path.isdir(f"{_data}/eval/Set5")
_has_niqe = os.path.isfile(f"{_data}/weights/niqe_pris_params.npz")
_scale = 4
_whole = [dict(type="LoadPictures"), dict(type="CropToMultiple", scale=_scale), dict(type="BicubicDegradation", scale=_scale)]
_held_out = dict(type="BundledPhotos", split="held_out", pipeline=_whole)
_set5 = dict(
    type="PairedFolders", name="Set5", hr_root=f"{_data}/eval/Set5/HR", lr_root=f"{_data}/eval/Set5/LRx4",
    hr_suffix="_HR", lr_suffix="_LR",
    pipeline=[dict(type="LoadPictures")])

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DrawSampler"),
    dataset=dict(
        type="BundledPhotos",
        split="train",
        pipeline=[
            dict(type="LoadPictures", cache=True),
            dict(type="RandomCrop", size=128, scale=_scale),
            dict(type="RandomFlipRotate"),
            dict(type="BicubicDegradation", scale=_scale),
        ]))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=_held_out)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="JoinedDatasets", datasets=[_held_out, _set5] if _has_set5 else [_held_out]))
val_evaluator = dict(type="PictureMetrics", metrics=["psnr_y"], crop_border=_scale)
test_evaluator = dict(
    type="PictureMetrics",
    metrics=["psnr_y", "ssim_y", "niqe"] if _has_niqe else ["psnr_y", "ssim_y"],
    niqe_params=f"{_data}/weights/niqe_pris_params.npz" if _has_niqe else None,
    crop_border=_scale)
