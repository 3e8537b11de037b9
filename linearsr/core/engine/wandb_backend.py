"""Weights & Biases with the right step on every axis. mmengine's own backend drops the step."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from mmengine.config import Config
from mmengine.visualization import BaseVisBackend

from linearsr.core.registries import VISBACKENDS


@VISBACKENDS.register_module()
class WandbBackend(BaseVisBackend):
    """Scalars, pictures and the config of a run to Weights & Biases, offline by default.

    mode: "offline" writes `<save_dir>/wandb` for a later `wandb sync`; "online" needs a login; or "disabled".

    Scalars of training and validation are logged against `iteration`, so both lie on one axis whatever their order.
    """

    def __init__(self, save_dir: str, project: str = "linearsr", mode: Literal["online", "offline", "disabled"] = "offline"):
        super().__init__(save_dir)
        self.project, self.mode = project, mode
        self.run: Any = None

    def _init_env(self) -> None:
        import wandb

        self.run = wandb.init(project=self.project, dir=self._save_dir, mode=self.mode)
        self.run.define_metric("iteration")
        self.run.define_metric("*", step_metric="iteration")

    @property
    def experiment(self) -> Any:
        """wandb's run, started on first use."""
        if self.run is None:
            self._init_env()
        return self.run

    def add_config(self, config: Config, **_: Any) -> None:
        self.experiment.config.update(config.to_dict(), allow_val_change=True)

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **_: Any) -> None:
        """image: uint8 [H, W, 3]."""
        import wandb

        self.experiment.log({name: wandb.Image(image), "iteration": step})

    def add_scalar(self, name: str, value: Any, step: int = 0, **_: Any) -> None:
        self.experiment.log({name: value, "iteration": step})

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **_: Any) -> None:
        values = {name: value for name, value in scalar_dict.items() if name not in ("step", "iter")}
        self.experiment.log({**values, "iteration": step})

    def close(self) -> None:
        if self.run is not None:
            self.run.finish()
