"""The log that is always there: `log.jsonl` in the run's folder."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from linearsr.core.engine.logging.backend import RunBackend
from linearsr.core.engine.logging.lines import Line, append_line, keep_lines, set_aside
from linearsr.core.registries import VISBACKENDS

NAME = "log.jsonl"


@VISBACKENDS.register_module()
class JSONLinesBackend(RunBackend):
    """Scalars to `<run>/log.jsonl`: {"step": 50, "phase": "train", "loss": 0.31, "lr": 0.001, …}; `read_log` reads it.

    A run that is resumed, or that goes back to a checkpoint after a divergence, does some steps again: their old lines go.
    A new run in a folder that has a log sets that aside as `log.1.jsonl`. Pictures are files of the run already.
    """

    def __init__(self, save_dir: str):
        super().__init__(save_dir)
        self.path: Path | None = None
        self.repeated: int | None = None
        """The iteration where the run went on. A validation that was due there is done again, its line not yet dropped."""

    @property
    def experiment(self) -> Path | None:
        """The file, None before training begins."""
        return self.path

    def begin(self, folder: Path, iteration: int) -> None:
        self.path = folder / NAME
        if iteration == 0:
            set_aside(self.path)
        self._keep_until(iteration)

    def go_back(self, iteration: int) -> None:
        with self.surviving():
            self._keep_until(iteration)

    def _keep_until(self, iteration: int) -> None:
        if self.path is not None:
            keep_lines(self.path, lambda line: line["step"] <= iteration)
            self.repeated = iteration

    def add_scalar(self, name: str, value: Any, step: int = 0, **_: Any) -> None:
        self.add_scalars({name: value}, step)

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **_: Any) -> None:
        """One line for each phase named. A name without a phase is of training."""
        by_phase: dict[str, Line] = defaultdict(dict)
        for name, value in scalar_dict.items():
            phase, slash, rest = name.partition("/")
            by_phase[phase if phase == "val" else "train"][rest if slash and phase in ("train", "val") else name] = value
        for named, values in by_phase.items():
            with self.surviving():
                self._write({"step": step, "phase": named, **values})

    def _write(self, line: Line) -> None:
        if self.path is None:  # validation or test alone
            return
        if line["phase"] == "val" and line["step"] == self.repeated:
            keep_lines(self.path, lambda old: (old["phase"], old["step"]) != ("val", self.repeated))
            self.repeated = None
        append_line(self.path, line)
