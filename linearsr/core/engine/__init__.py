"""Runners on mmengine: training, testing, their loops and hooks."""

from linearsr.core.engine.hooks import FiniteLossHook, PictureWriterHook, PlainCheckpointHook, ProgressHook
from linearsr.core.engine.loops import RestoreTestLoop, RestoreValLoop
from linearsr.core.engine.testing import run_testing
from linearsr.core.engine.training import NEWEST, run_training
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
    "run_testing",
    "run_training",
]
