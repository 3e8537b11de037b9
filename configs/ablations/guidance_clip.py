"""Patch features of CLIP instead of tags (LinearSR, Tab. 3). LINEARSR_CLIP: a folder with CLIP ViT-L/14 as published."""

import os

_base_ = "../quickstart_x4.py"

model = dict(
    guidance=dict(
        type="CLIPImageGuidance",
        folder=os.environ.get("LINEARSR_CLIP", "weights/clip-vit-large-patch14")))
