"""A run of seconds: four small pictures, a model of a few thousand parameters."""

from pathlib import Path

import pytest
import torch

from linearsr.core.data import write_image
from linearsr.core.engine import read_log
from linearsr.core.weights import read_state_dict

ROOT = Path(__file__).parents[3]

CONFIG = """
_base_ = ["{root}/configs/_base_/runtime.py"]
_whole = [dict(type="LoadPictures"), dict(type="CropToMultiple", scale=2), dict(type="BicubicDegradation", scale=2)]
_test = dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False),
             dataset=dict(type="HRFolder", root="{data}", name="tiny", pipeline=_whole))
model = dict(
    type="LinearSR", upscale=2,
    autoencoder=dict(type="ResidualPixelShuffle", factor=2),
    denoiser=dict(type="LinearDiT", depth=1, width=16, head_width=8, zero_init=True,
                  attention=dict(type="ReLULinearAttention"), feed_forward=dict(type="GatedConvFeedForward", ratio=1.0),
                  lr_stem=dict(type="ConvStem", width=8, depth=1)),
    preconditioner=dict(type="VelocityPreconditioner"), path=dict(type="RectifiedFlow"),
    time_sampler=dict(type="EndWeightedTimes", p_end=0.3), time_grid=dict(type="UniformGrid"), solver=dict(type="Euler"))
train_dataloader = dict(
    batch_size=2, sampler=dict(type="DrawSampler"),
    dataset=dict(type="HRFolder", root="{data}", pipeline=[
        dict(type="LoadPictures"), dict(type="RandomCrop", size=16, scale=2), dict(type="RandomFlipRotate"),
        dict(type="BicubicDegradation", scale=2)]))
val_dataloader = _test
test_dataloader = _test
val_evaluator = dict(type="PictureMetrics", metrics=["psnr_y"], crop_border=2)
test_evaluator = dict(type="PictureMetrics", metrics=["psnr_y", "ssim_y"], crop_border=2)
train_cfg = dict(max_iters=6, val_interval=3)
default_hooks = dict(checkpoint=dict(interval=3, max_keep_ckpts=-1), logger=dict(interval=1))
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3), clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=0.0, end=1.0, T_max=1.0)]
"""


def pictures(folder: Path) -> Path:
    for index in range(4):
        picture = torch.rand(3, 24, 26, generator=torch.Generator().manual_seed(index))
        write_image(folder / f"p{index}.png", picture)
    return folder


def write_config(path: Path, data: Path) -> Path:
    path.write_text(CONFIG.format(root=ROOT, data=data))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return pictures(tmp_path / "data")


@pytest.fixture
def config(tmp_path: Path, data: Path) -> Path:
    return write_config(tmp_path / "tiny.py", data)


def scalars(folder: Path, key: str) -> list[float]:
    return [line[key] for line in read_log(folder / "log.jsonl") if key in line]


def same_weights(one: Path, two: Path) -> bool:
    first, second = read_state_dict(one), read_state_dict(two)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
