"""Weights & Biases with the right step on every axis, over every start of a run. mmengine's own backend drops the step."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from linearsr.core.engine.logging.backend import RunBackend
from linearsr.core.engine.logging.wandb_identity import wandb_run_id
from linearsr.core.errors import ConfigError
from linearsr.core.registries import VISBACKENDS

Mode = Literal["online", "offline", "disabled"]

PATIENCE = 300.0
"""Seconds to wait for the service at the end of a run, which must not keep a machine for an upload that does not come."""


@VISBACKENDS.register_module()
class WandbBackend(RunBackend):
    """Scalars, pictures and the config of a run to Weights & Biases, offline by default.

    mode:    "offline" writes `<run>/wandb` for a later `wandb sync`; "online" needs a login; or "disabled"
    project, entity, group, tags: as wandb's; entity None is the account's own
    name:    shown in charts; by default the name of the run's folder

    Everything is logged against `iteration`, so training and validation lie on one axis whatever their order.
    A run that is resumed goes on as the same run of wandb (see `wandb_run_id`). wandb takes no row back: of iterations that
    are done again, rows of both times are there.
    """

    def __init__(
        self,
        save_dir: str,
        project: str = "linearsr",
        mode: Mode = "offline",
        entity: str | None = None,
        group: str | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
    ):
        super().__init__(save_dir)
        if mode not in ("online", "offline", "disabled"):
            raise ConfigError(f"WandbBackend: mode is {mode!r}; wanted 'online', 'offline' or 'disabled'")
        if isinstance(tags, str):
            raise ConfigError(f"WandbBackend: tags is {tags!r}; wanted a list of words, such as ['x4']")
        self.mode, self.name = mode, name
        self.place: dict[str, Any] = {"project": project, "entity": entity, "group": group, "tags": tuple(tags)}
        self.run: Any = None

    @property
    def experiment(self) -> Any:
        """wandb's run, None before training begins."""
        return self.run

    def begin(self, folder: Path, iteration: int) -> None:
        """Raises ConfigError if wandb does not start: no login, no such entity, no network. It never asks."""
        import wandb

        wandb.setup(wandb.Settings(silent=True))
        settings = wandb.Settings(silent=True, console="off", reinit="finish_previous", finish_timeout=PATIENCE)
        try:
            if self.mode == "online" and not wandb.login(prompt=False, verify=False):
                raise ConfigError(f"WandbBackend: mode='online' without a login; {ADVICE}")
            self.run = wandb.init(
                **self.place,
                name=self.name or folder.resolve().name,
                id=wandb_run_id(folder, iteration),
                resume="allow",
                mode=self.mode,
                dir=str(folder),
                settings=settings,
            )
        except wandb.Error as error:
            raise ConfigError(f"WandbBackend: wandb does not start: {str(error).splitlines()[0]}; {ADVICE}") from error
        if self.config is not None:
            self.run.config.update(self.config.to_dict(), allow_val_change=True)
        self.run.define_metric("iteration")
        self.run.define_metric("*", step_metric="iteration")
        where = {"online": self.run.url, "offline": f"offline; later: wandb sync {folder}/wandb/offline-run-*"}
        if self.mode in where:
            print(f"wandb: {where[self.mode]}", file=sys.stderr)

    def go_back(self, iteration: int) -> None:
        """wandb keeps its rows; those to come say at which iteration they are."""

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **_: Any) -> None:
        """image: uint8 [H, W, 3]."""
        if self.run is not None:
            import wandb

            self._log({name: wandb.Image(image)}, step)

    def add_scalar(self, name: str, value: Any, step: int = 0, **_: Any) -> None:
        self._log({name: value}, step)

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **_: Any) -> None:
        self._log(scalar_dict, step)

    def close(self) -> None:
        if self.run is not None:
            with self.surviving():
                self.run.finish()
            self.run = None

    def _log(self, values: dict[str, Any], step: int) -> None:
        if self.run is not None:
            with self.surviving():
                self.run.log({**values, "iteration": step})


ADVICE = "run `wandb login`, set WANDB_API_KEY, or set mode='offline' (or 'disabled') in visualizer.vis_backends"
