"""Runners on mmengine: training, testing, their loops and hooks."""

from linearsr.core.engine.distributed import ReplicatedModel, ShardedModel, is_first_process
from linearsr.core.engine.hooks import (
    CheckpointHook,
    DivergenceHook,
    GracefulStopHook,
    LoggerHook,
    LostSamplesHook,
    PictureWriterHook,
    ProgressHook,
    RollBackOnDivergence,
    SkipDivergedSteps,
    ThroughputHook,
    ValidationPicturesHook,
)
from linearsr.core.engine.logging import JSONLinesBackend, TensorboardBackend, WandbBackend, read_log
from linearsr.core.engine.loops import RestoreTestLoop, RestoreValLoop
from linearsr.core.engine.optimisation import PrecisionOptimWrapper
from linearsr.core.engine.testing import run_testing
from linearsr.core.engine.train_loop import TrainLoop
from linearsr.core.engine.training import NEWEST, run_training

__all__ = [
    "NEWEST",
    "CheckpointHook",
    "DivergenceHook",
    "GracefulStopHook",
    "JSONLinesBackend",
    "LoggerHook",
    "LostSamplesHook",
    "PictureWriterHook",
    "PrecisionOptimWrapper",
    "ProgressHook",
    "ReplicatedModel",
    "RestoreTestLoop",
    "RestoreValLoop",
    "RollBackOnDivergence",
    "ShardedModel",
    "SkipDivergedSteps",
    "TensorboardBackend",
    "ThroughputHook",
    "TrainLoop",
    "ValidationPicturesHook",
    "WandbBackend",
    "is_first_process",
    "read_log",
    "run_testing",
    "run_training",
]
