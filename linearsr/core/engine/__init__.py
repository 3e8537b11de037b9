"""Runners on mmengine: training, testing, their loops and hooks."""

from linearsr.core.engine.distributed import ReplicatedModel, ShardedModel, is_first_process
from linearsr.core.engine.hooks import (
    CheckpointHook,
    DivergenceGuard,
    DivergenceHook,
    GracefulStopHook,
    KneeHook,
    LoggerHook,
    LostSamplesHook,
    PictureWriterHook,
    ProgressHook,
    RollBackOnDivergence,
    RollBackToKnee,
    SkipDivergedSteps,
    ThroughputHook,
    ValidationPicturesHook,
)
from linearsr.core.engine.logging import JSONLinesBackend, TensorboardBackend, WandbBackend, read_log
from linearsr.core.engine.loops import RestoreTestLoop, RestoreValLoop
from linearsr.core.engine.optimisation import PrecisionOptimWrapper
from linearsr.core.engine.restoring import Outcome, RestoreFolderLoop, run_restoring
from linearsr.core.engine.single_run import NEWEST
from linearsr.core.engine.testing import run_testing
from linearsr.core.engine.train_loop import TrainLoop
from linearsr.core.engine.training import run_training

__all__ = [
    "NEWEST",
    "CheckpointHook",
    "DivergenceGuard",
    "DivergenceHook",
    "GracefulStopHook",
    "JSONLinesBackend",
    "KneeHook",
    "LoggerHook",
    "LostSamplesHook",
    "Outcome",
    "PictureWriterHook",
    "PrecisionOptimWrapper",
    "ProgressHook",
    "ReplicatedModel",
    "RestoreFolderLoop",
    "RestoreTestLoop",
    "RestoreValLoop",
    "RollBackOnDivergence",
    "RollBackToKnee",
    "ShardedModel",
    "SkipDivergedSteps",
    "TensorboardBackend",
    "ThroughputHook",
    "TrainLoop",
    "ValidationPicturesHook",
    "WandbBackend",
    "is_first_process",
    "read_log",
    "run_restoring",
    "run_testing",
    "run_training",
]
