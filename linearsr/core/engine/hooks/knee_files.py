"""The checkpoints among which the knee is, in a run's folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from linearsr.core.engine.checkpoints.files import newest_checkpoint, read_checkpoint
from linearsr.core.errors import CheckpointError, WeightsError

KNEE = "knee.pth"
PREFIX = "knee_candidate_"


@dataclass(frozen=True)
class KneeFiles:
    """folder: of the run. Only the main process changes anything."""

    folder: Path

    def candidate(self, step: int) -> Path:
        return self.folder / f"{PREFIX}{step}.pth"

    def resumable(self, iteration: int) -> int:
        """Of the checkpoint that a kill now would lead back to; 0 where there is none yet."""
        try:
            number = newest_checkpoint(self.folder).stem.removeprefix("iter_")
        except WeightsError:
            return 0
        return min(int(number), iteration) if number.isdigit() else 0

    def settle(self, step: int) -> None:
        """`step` is the knee. Raises CheckpointError if its file is gone."""
        knee, candidate = self.folder / KNEE, self.candidate(step)
        if candidate.is_file():
            os.replace(candidate, knee)
        elif not knee.is_file() or read_checkpoint(knee)["meta"]["iter"] != step:
            raise CheckpointError(
                f"the knee is iteration {step}, but there is no {candidate}; was it deleted, or are the files of another run "
                "here? Begin the run anew in another --work-dir"
            )

    def drop(self, unwanted: Callable[[int], bool]) -> None:
        """Deletes candidates of those steps."""
        for path in self.folder.glob(f"{PREFIX}*.pth"):
            number = path.stem.removeprefix(PREFIX)
            if number.isdigit() and unwanted(int(number)):
                path.unlink(missing_ok=True)
