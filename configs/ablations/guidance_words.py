"""Guidance by words of one's own, a text for each picture: the arms of the guidance ablation differ in these texts alone.

`<folder>/<data set>/<picture>.txt`, as tools/benchmarks/guidance_ablation.py writes them, with what a tagger sees in the whole
photo, or in the LR in use. An empty text is no guidance. Other folders: --cfg-options train_dataloader.dataset.pipeline.0.folder=…
"""

import os

_base_ = ["../_base_/runtime.py", "../_base_/pixel_recipe_x4.py", "../_base_/data_train_folder.py"]

_data = os.environ.get("LINEARSR_DATA", "data")
_words = "work_dirs/guidance_ablation/words/tags"
_scale = 4
_told = dict(
    type="TagGuidance", prompts_replace_tags=True,
    tagger=dict(type="FixedTags"), text_encoder=dict(type="MiniLMTextEncoder"))
_describe = dict(type="Describe", guidance=_told)
_sets = [
    dict(
        type="PairedFolders", name=_name, hr_root=f"{_data}/eval/{_name}/HR", lr_root=f"{_data}/eval/{_name}/LRx4",
        hr_suffix="_HR", lr_suffix="_LR",
        pipeline=[dict(type="ReadSidecarText", folder=f"{_words}/{_name}"), dict(type="LoadPictures"), _describe])
    for _name in ("Set5", "Set14")]

model = dict(guidance=_told)
train_dataloader = dict(
    dataset=dict(
        root=[f"{_data}/train/{_name}" for _name in ("CID22", "gb82")],
        pipeline=[
            dict(type="ReadSidecarText", folder=f"{_words}/train"),
            dict(type="LoadPictures", cache=True),
            _describe,
            dict(type="RandomCrop", size=128, scale=_scale),
            dict(type="RandomFlipRotate"),
            dict(type="BicubicDegradation", scale=_scale),
        ]))
val_dataloader = dict(dataset=_sets[0])
test_dataloader = dict(dataset=dict(datasets=_sets))
train_cfg = dict(max_iters=750, val_interval=250)
test_cfg = dict(num_steps=[1, 4])
