"""How far a folder is: a bar or lines, and a word on each picture that fails."""

from __future__ import annotations

from typing import Final

from mmengine.dist import get_rank, get_world_size
from rich.console import Console

from linearsr.core.engine.hooks.progress import Meter
from linearsr.core.engine.restoring.manifest import Entry

LINE_SECONDS: Final = 15.0
"""Between lines where the output is not a terminal, as in training."""


class Progress:
    """total: pictures of this rank. The first rank shows a bar, of its own share; each says which of its pictures fail."""

    def __init__(self, total: int):
        self.total, self.done = total, 0
        self.console = Console(stderr=True, soft_wrap=True)
        bar = Console(stderr=True, quiet=get_rank() != 0) if get_rank() else self.console
        title = "restoring" if get_world_size() == 1 else f"restoring, rank 0 of {get_world_size()}"
        self.meter = Meter(title, total, 0, bar, LINE_SECONDS)

    def settled(self, entry: Entry) -> None:
        self.done += 1
        if entry.status == "failed":
            self.console.print(f"failed: {entry.name}: {entry.reason}", highlight=False, markup=False)
        self.meter.advance_to(self.done)

    def stop(self) -> None:
        """The terminal gets its cursor back."""
        self.meter.stop()
