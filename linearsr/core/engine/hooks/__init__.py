"""Hooks into mmengine's Runner."""

from linearsr.core.engine.hooks.finite_loss import FiniteLossHook
from linearsr.core.engine.hooks.picture_writer import PictureWriterHook
from linearsr.core.engine.hooks.plain_checkpoint import PlainCheckpointHook
from linearsr.core.engine.hooks.progress import ProgressHook

__all__ = ["FiniteLossHook", "PictureWriterHook", "PlainCheckpointHook", "ProgressHook"]
