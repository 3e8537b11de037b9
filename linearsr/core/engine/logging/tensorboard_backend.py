"""Tensorboard, with one axis for training and validation and for every start of a run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from linearsr.core.engine.logging.backend import RunBackend
from linearsr.core.errors import MissingExtraError
from linearsr.core.registries import VISBACKENDS


@VISBACKENDS.register_module()
class TensorboardBackend(RunBackend):
    """Scalars, pictures and the config to `<run>/tensorboard`: `tensorboard --logdir <run>`. Needs the extra "tensorboard".

    Where a run goes on, tensorboard is told to hide the steps that are done again. A validation that is repeated on resume is
    there twice, with the same figures.
    """

    def __init__(self, save_dir: str):
        super().__init__(save_dir)
        self.folder: Path | None = None
        self.writer: Any = None

    @property
    def experiment(self) -> Any:
        """torch's SummaryWriter, None before training begins."""
        return self.writer

    def begin(self, folder: Path, iteration: int) -> None:
        """Raises MissingExtraError."""
        if find_spec("tensorboard") is None:
            raise MissingExtraError("TensorboardBackend", "tensorboard", "tensorboard")
        self.folder = folder / "tensorboard"
        self.go_back(iteration)
        if self.config is not None:
            self.writer.add_text("config", f"```python\n{self.config.pretty_text}\n```", iteration)

    def go_back(self, iteration: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        # of a new run nothing from before is shown
        self.writer = SummaryWriter(str(self.folder), purge_step=iteration + 1 if iteration else 0)

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **_: Any) -> None:
        """image: uint8 [H, W, 3]."""
        if self.writer is not None:
            with self.surviving():
                self.writer.add_image(name, image, step, dataformats="HWC")
                self.writer.flush()

    def add_scalar(self, name: str, value: Any, step: int = 0, **_: Any) -> None:
        self.add_scalars({name: value}, step)

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **_: Any) -> None:
        if self.writer is not None:
            with self.surviving():
                for name, value in scalar_dict.items():
                    self.writer.add_scalar(name, value, step)
                self.writer.flush()  # what is logged outlives a kill

    def close(self) -> None:
        if self.writer is not None:
            with self.surviving():
                self.writer.close()
            self.writer = None
