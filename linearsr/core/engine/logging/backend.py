"""What our logging backends have in common: a place in the run's folder, and no right to end the run."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.visualization import BaseVisBackend

from linearsr.core.errors import ConfigError


class RunBackend(BaseVisBackend):
    """One log for each run's folder, whatever the number of starts.

    save_dir: mmengine's visualizer sets it, to a folder that is new at every start; the run's folder is taken instead.

    Nothing is written or opened before `begin`, so a test of the model, which calls no `begin`, leaves the logs alone.
    Names of scalars begin with their phase: "train/loss", "val/psnr_y". Only the main process calls a backend.
    """

    def __init__(self, save_dir: str):
        super().__init__(save_dir)
        self.config: Config | None = None
        self.complaints: set[str] = set()

    def start(self, folder: Path, iteration: int) -> None:
        """Training begins after `iteration`, in `folder`. Raises ConfigError for a save_dir that was set elsewhere."""
        if not Path(self._save_dir).resolve().is_relative_to(folder.resolve()):
            raise ConfigError(
                f"{type(self).__name__}: save_dir is {self._save_dir}; logs lie in the run's folder: leave save_dir out"
            )
        self.begin(folder, iteration)

    @abstractmethod
    def begin(self, folder: Path, iteration: int) -> None:
        """Opens the log of the run in `folder`, which goes on after `iteration`; 0 is a new run."""

    @abstractmethod
    def go_back(self, iteration: int) -> None:
        """The run has gone back to `iteration` and does what came after it again."""

    def add_config(self, config: Config, **_: Any) -> None:
        """Kept for `begin`: mmengine calls this for tests too."""
        self.config = config

    @contextmanager
    def surviving(self) -> Iterator[None]:
        """A log that fails costs a warning, once for each cause, and never the run."""
        try:
            yield
        except Exception as error:  # what a service's client raises is its own affair: ConnectionResetError, TimeoutError …
            cause = f"{type(error).__name__}: {error}"
            if cause not in self.complaints:
                self.complaints.add(cause)
                warn(f"{type(self).__name__} does not log at present ({cause}); the run goes on")

    def _init_env(self) -> None:
        """mmengine's own way to open a log, at first use. Ours is `begin`."""


def warn(message: str) -> None:
    """On the console and in mmengine's log."""
    print_log(message, logger="current", level=logging.WARNING)
