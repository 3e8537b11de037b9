"""Runners on mmengine: training, testing, their loops and hooks."""

from linearsr.core.engine.hooks import CheckpointHook, FiniteLossHook, GracefulStopHook, PictureWriterHook, ProgressHook
from linearsr.core.engine.loops import RestoreTestLoop, RestoreValLoop
from linearsr.core.engine.testing import run_testing
from linearsr.core.engine.train_loop import TrainLoop
from linearsr.core.engine.training import NEWEST, run_training
from linearsr.core.engine.wandb_backend import WandbBackend

__all__ = [
    "NEWEST",
    "CheckpointHook",
    "FiniteLossHook",
    "GracefulStopHook",
    "PictureWriterHook",
    "ProgressHook",
    "RestoreTestLoop",
    "RestoreValLoop",
    "TrainLoop",
    "WandbBackend",
    "run_testing",
    "run_training",
]
