"""Runners on mmengine: training, testing, their loops and hooks."""

from linearsr.core.engine.hooks import FiniteLossHook, PictureWriterHook, PlainCheckpointHook, ProgressHook
from linearsr.core.engine.loops import RestoreTestLoop, RestoreValLoop
from linearsr.core.engine.testing import test
from linearsr.core.engine.training import NEWEST, train
from linearsr.core.engine.wandb_backend import WandbBackend

__all__ = [
    "NEWEST",
    "FiniteLossHook",
    "PictureWriterHook",
    "PlainCheckpointHook",
    "ProgressHook",
    "RestoreTestLoop",
    "RestoreValLoop",
    "WandbBackend",
    "test",
    "train",
]
