"""A test without metrics that no picture can stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from linearsr.core.data.lr_pictures import one_by_one
from linearsr.core.engine.loops import RestoreTestLoop
from linearsr.core.errors import DataError, ShapeError
from linearsr.core.models.out_of_memory import ran_out
from linearsr.core.registries import LOOPS


@LOOPS.register_module()
class RestoreFolderLoop(RestoreTestLoop):
    """Restores batches of `collate_by_size`, at one number of steps; what cannot be restored stops no other.

    Pictures that cannot be read, or restored by themselves alone, go to hooks' `after_lost_picture(runner, name, source_sha256,
    reason)`; the others to `after_test_iter`.

    Lost is what a picture is to blame for: its file, its size, its memory. Any other error ends the run.
    """

    def run(self) -> dict[str, float]:
        hook = self.runner.call_hook
        hook("before_test")
        hook("before_test_epoch")
        self.runner.model.eval()
        for index, loaded in enumerate(self.dataloader):
            for lost in loaded["lost"]:
                hook("after_lost_picture", **lost)
            for batch in loaded["batches"]:
                self._restore(index, batch | {"num_steps": self.num_steps[0]})
        hook("after_test_epoch", metrics={})
        hook("after_test")
        return {}

    def _restore(self, index: int, batch: dict[str, Any]) -> None:
        self.runner.call_hook("before_test_iter", batch_idx=index, data_batch=batch)
        found = self._tried(batch)
        if not isinstance(found, str):
            self.runner.call_hook("after_test_iter", batch_idx=index, data_batch=batch, outputs=found)
        elif len(batch["names"]) > 1:
            for alone in one_by_one(batch):
                self._restore(index, alone)
        else:
            (name,), (sha256,) = batch["names"], batch["source_sha256"]
            self.runner.call_hook("after_lost_picture", name=name, source_sha256=sha256, reason=found)

    def _tried(self, batch: Mapping[str, Any]) -> list[dict[str, Any]] | str:
        """What the model made of it, or why it could not."""
        known = {key: value for key, value in batch.items() if key != "source_sha256"}
        try:
            return self.restored(known)
        except (ShapeError, DataError) as error:
            return str(error)
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, RuntimeError) and not ran_out(error):
                error.add_note(f"while restoring {', '.join(batch['names'])}")
                raise
        torch.cuda.empty_cache()  # outside the handler, whose traceback holds the tensors
        height, width = batch["lr"].shape[-2:]
        return f"out of memory at an LR of {height}×{width}, num_steps={batch['num_steps']}"
