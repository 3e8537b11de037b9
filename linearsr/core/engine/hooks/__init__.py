"""Hooks into mmengine's Runner."""

from linearsr.core.engine.hooks.checkpoint import CheckpointHook
from linearsr.core.engine.hooks.divergence import DivergenceHook, RollBackOnDivergence, SkipDivergedSteps, divergence_hook
from linearsr.core.engine.hooks.divergence_guard import DivergenceGuard
from linearsr.core.engine.hooks.expert_log import ExpertLogHook
from linearsr.core.engine.hooks.graceful_stop import GracefulStopHook
from linearsr.core.engine.hooks.knee import KneeHook
from linearsr.core.engine.hooks.logger import LoggerHook
from linearsr.core.engine.hooks.lost_samples import LostSamplesHook, lost_limit
from linearsr.core.engine.hooks.picture_writer import PictureWriterHook
from linearsr.core.engine.hooks.progress import ProgressHook
from linearsr.core.engine.hooks.roll_back_to_knee import RollBackToKnee
from linearsr.core.engine.hooks.throughput import ThroughputHook
from linearsr.core.engine.hooks.validation_pictures import ValidationPicturesHook

__all__ = [
    "CheckpointHook",
    "DivergenceGuard",
    "DivergenceHook",
    "ExpertLogHook",
    "GracefulStopHook",
    "KneeHook",
    "LoggerHook",
    "LostSamplesHook",
    "PictureWriterHook",
    "ProgressHook",
    "RollBackOnDivergence",
    "RollBackToKnee",
    "SkipDivergedSteps",
    "ThroughputHook",
    "ValidationPicturesHook",
    "divergence_hook",
    "lost_limit",
]
