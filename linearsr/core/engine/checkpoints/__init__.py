"""What an interrupted run goes on from."""

from linearsr.core.engine.checkpoints.contents import collect
from linearsr.core.engine.checkpoints.files import (
    CURRICULUM_CONFIG,
    NOTE,
    best_name,
    checkpoint_name,
    newest_checkpoint,
    note_newest,
    numbered,
    read_checkpoint,
    refuse_to_overwrite,
    retire,
    sweep,
    write_checkpoint,
)
from linearsr.core.engine.checkpoints.matching import check_not_past, check_resumable, check_same_method
from linearsr.core.engine.checkpoints.restoring import group_settings, restore

__all__ = [
    "CURRICULUM_CONFIG",
    "NOTE",
    "best_name",
    "check_not_past",
    "check_resumable",
    "check_same_method",
    "checkpoint_name",
    "collect",
    "group_settings",
    "newest_checkpoint",
    "note_newest",
    "numbered",
    "read_checkpoint",
    "refuse_to_overwrite",
    "restore",
    "retire",
    "sweep",
    "write_checkpoint",
]
