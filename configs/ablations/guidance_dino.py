"""Patch features of DINOv2 instead of tags (LinearSR, Tab. 3). LINEARSR_DINO: a folder with DINOv2 base as published."""

import os

_base_ = "../quickstart_x4.py"

model = dict(
    guidance=dict(
        type="DINOGuidance",
        folder=os.environ.get("LINEARSR_DINO", "weights/dinov2-base")))
