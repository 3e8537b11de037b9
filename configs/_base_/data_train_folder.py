"""Train on the train/ photos of the data folder (LINEARSR_DATA); test on Set5 and Set14."""

import os

_data = os.environ.get("LINEARSR_DATA", "data")
_scale = 4
_sets = [
    dict(
        type="PairedFolders", name=_name, hr_root=f"{_data}/eval/{_name}/HR", lr_root=f"{_data}/eval/{_name}/LRx4",
        hr_suffix="_HR", lr_suffix="_LR", pipeline=[dict(type="LoadPictures")])
    for _name in ("Set5", "Set14")]
_one_by_one = dict(batch_size=1, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False))

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DrawSampler"),
    dataset=dict(
        type="HRFolder",
        name="train",
        root=[f"{_data}/train/{_name}" for _name in ("CID22", "CLIC2025", "gb82", "wallpapers")],
        pipeline=[
            dict(type="LoadPictures", cache=True),
            dict(type="RandomCrop", size=128, scale=_scale),
            dict(type="RandomFlipRotate"),
            dict(type="BicubicDegradation", scale=_scale),
        ]))
val_dataloader = dict(dataset=_sets[0], **_one_by_one)
test_dataloader = dict(dataset=dict(type="JoinedDatasets", datasets=_sets), **_one_by_one)
val_evaluator = dict(type="PictureMetrics", metrics=["psnr_y"], crop_border=_scale)
test_evaluator = dict(
    type="PictureMetrics", metrics=["psnr_y", "ssim_y", "niqe"], crop_border=_scale,
    niqe_params=f"{_data}/weights/niqe_pris_params.npz")
