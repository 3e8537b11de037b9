"""Whether a checkpoint can be gone on from, and whether it belongs to a config."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from linearsr.core.engine.checkpoints.files import read_checkpoint
from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.weights import load_strict, read_state_dict

NEEDED = ("meta", "optimizer", "message_hub", "random_state")
"""Besides the weights."""

FREE = (
    "time_sampler", "time_grid", "solver", "compile_denoiser", "activation_checkpointing", "tile", "strip_tokens",
    "memory_gib", "cuda_graphs",
    "offload", "offload_folder", "expert_shares", "expert_loss_weights", "expert_balance", "guider", "guidance_drop",
    "positive", "negative",
)  # fmt: skip
"""What weights do not depend on, wherever it stands in a model."""


def check_resumable(path: Path, model: nn.Module) -> None:
    """Raises WeightsError for a file without optimiser or of another architecture."""
    load_strict(model, read_state_dict(path), str(path))
    if path.suffix == ".safetensors":
        raise WeightsError(f"{path} holds weights but no optimiser to resume with; set load_from to start from its weights")
    checkpoint = read_checkpoint(path)
    missing = [key for key in NEEDED if key not in checkpoint]
    if missing:
        raise WeightsError(f"{path} lacks {', '.join(missing)} and cannot be resumed; set load_from to start from its weights")


def check_not_past(path: Path, max_iters: int) -> None:
    """Raises ConfigError where nothing is left to train. At max_iters itself a last validation may be."""
    iteration = read_checkpoint(path)["meta"]["iter"]
    if iteration > max_iters:
        raise ConfigError(
            f"{path} is at iteration {iteration}, past train_cfg.max_iters = {max_iters}; raise max_iters to train on"
        )


def check_same_method(path: Path, model_cfg: Mapping[str, Any]) -> None:
    """Raises WeightsError if the checkpoint says that it was trained with another `model` than the config's.

    Weights of another method can have the same names and shapes: another attention, another σ, no preconditioner.
    What only sampling or training asks for may differ. A file that does not say (weights alone) is not checked.
    """
    if path.suffix == ".safetensors":
        return
    checkpoint = read_checkpoint(path)
    trained = _model_in(checkpoint.get("meta", {}).get("cfg", ""))
    if trained is None:
        return
    difference = _first_difference(
        trained,
        model_cfg,
        "model",
    )
    if difference is not None:
        where, then, now = difference
        raise WeightsError(
            f"{path} was trained with {where} = {then!r}; the config says {now!r}. Use the config that was saved beside it"
        )


def _model_in(config_text: str) -> Any | None:
    """The literal after `model =`; the text is read and never run."""
    try:
        for statement in ast.parse(config_text).body:
            if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "model":
                return ast.literal_eval(statement.value)
    except (SyntaxError, ValueError):
        return None
    return None


def _first_difference(then: Any, now: Any, where: str) -> tuple[str, Any, Any] | None:
    if not (isinstance(then, Mapping) and isinstance(now, Mapping)):
        equal = list(then) == list(now) if isinstance(then, list | tuple) and isinstance(now, list | tuple) else then == now
        return None if equal else (where, then, now)
    for key in [key for key in dict.fromkeys([*then, *now]) if key not in FREE]:
        found = _first_difference(then.get(key, "its default"), now.get(key, "its default"), f"{where}.{key}")
        if found is not None:
            return found
    return None
