"""Hooks into mmengine's Runner."""

from linearsr.core.engine.hooks.checkpoint import CheckpointHook
from linearsr.core.engine.hooks.finite_loss import FiniteLossHook
from linearsr.core.engine.hooks.graceful_stop import GracefulStopHook
from linearsr.core.engine.hooks.picture_writer import PictureWriterHook
from linearsr.core.engine.hooks.progress import ProgressHook

__all__ = ["CheckpointHook", "FiniteLossHook", "GracefulStopHook", "PictureWriterHook", "ProgressHook"]
