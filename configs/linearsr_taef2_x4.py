"""×4 on real latents, small enough for a CPU: taef2's autoencoder (factor 8, 32 channels), StableSR's degradation.

Wants the data folder (LINEARSR_DATA) with train/, eval/ and weights/. The autoencoder's encoder is most of the work of a training step.
"""

import os

_base_ = ["_base_/runtime.py", "_base_/pixel_recipe_x4.py", "_base_/data_train_folder.py"]

_data = os.environ.get("LINEARSR_DATA", "data")
_whole = [dict(type="LoadPictures")]

model = dict(
    autoencoder=dict(
        _delete_=True,
        type="TinyAutoencoder",
        dtype="bfloat16",
        encoder=f"{_data}/weights/taef2_encoder.pth",
        decoder=f"{_data}/weights/taef2_decoder.pth"),
    denoiser=dict(depth=6, width=192, lr_stem=dict(width=96, depth=3)))

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadPictures", cache=True),
            dict(type="RandomCrop", size=128, scale=4),
            dict(type="RandomFlipRotate"),
            dict(type="RealESRGANDegradation", scale=4, preset="StableSR"),
        ]))
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="JoinedDatasets",
        datasets=[
            dict(
                type="PairedFolders", name="Set14", hr_root=f"{_data}/eval/Set14/HR", lr_root=f"{_data}/eval/Set14/LRx4",
                hr_suffix="_HR", lr_suffix="_LR", pipeline=_whole),
            dict(type="LRFolder", name="RealSRSet", root=f"{_data}/eval/RealSRSet", pipeline=_whole),
        ]))

train_cfg = dict(max_iters=1500, val_interval=500)
test_cfg = dict(num_steps=[1, 2, 4, 8])
optim_wrapper = dict(dtype="bfloat16", optimizer=dict(lr=2e-3))
