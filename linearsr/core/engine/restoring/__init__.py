"""A folder of LR pictures to a folder of restored ones."""

from linearsr.core.engine.restoring.loop import RestoreFolderLoop
from linearsr.core.engine.restoring.manifest import Entry, read_manifest
from linearsr.core.engine.restoring.running import Outcome, run_restoring

__all__ = ["Entry", "Outcome", "RestoreFolderLoop", "read_manifest", "run_restoring"]
