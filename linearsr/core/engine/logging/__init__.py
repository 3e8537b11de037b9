"""Where a run's figures and pictures go: JSON lines, tensorboard, Weights & Biases."""

from linearsr.core.engine.logging.backend import RunBackend
from linearsr.core.engine.logging.json_lines_backend import JSONLinesBackend
from linearsr.core.engine.logging.lines import read_log
from linearsr.core.engine.logging.tensorboard_backend import TensorboardBackend
from linearsr.core.engine.logging.wandb_backend import WandbBackend

__all__ = ["JSONLinesBackend", "RunBackend", "TensorboardBackend", "WandbBackend", "read_log"]
