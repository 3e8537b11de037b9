"""State dicts in and out of files. Nothing is unpickled freely, nothing is half written, nothing is half loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from linearsr.core.atomic import atomic_path
from linearsr.core.errors import WeightsError
from linearsr.core.weights.foreign import damaged, read_pickled

PICKLED = (".pth", ".pt", ".bin", ".ckpt")
SHOWN = 5
"""How many names an error shows of each kind."""


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, in the dtype of the file.

    path: .safetensors, or .pth/.pt/.bin/.ckpt, read by a restricted unpickler (`read_pickled`). A key "state_dict" inside,
    as in a checkpoint of mmengine, is unwrapped. Raises WeightsError for a file that is missing, damaged, no state dict, or
    that asks for code.
    """
    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise WeightsError(f"weights file {file} {what}; wanted a .safetensors or .pth file at {file.absolute()}")
    if file.suffix == ".safetensors":
        content = _read_safetensors(file)
    elif file.suffix in PICKLED:
        content = read_pickled(file)
    else:
        raise WeightsError(f"weights file {file} ends in {file.suffix!r}; wanted .safetensors, {', '.join(PICKLED)}")
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(
            f"weights file {file} holds no state dict; wanted names with tensors, or such a dict under 'state_dict'"
        )
    return dict(content)


def _read_safetensors(file: Path) -> object:
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as cause:
        raise damaged(file, cause) from cause


def write_safetensors(
    path: str | os.PathLike[str], state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> Path:
    """Writes `state` so that `path` is at every moment absent, the old file or the whole new one.

    Tensors are copied to the CPU and made contiguous; shared storage is written twice. metadata: text by name, kept in
    the file's header. Folders are made. Returns the path. Raises WeightsError if `path` does not end in .safetensors.
    """
    file = Path(path)
    if file.suffix != ".safetensors":
        raise WeightsError(f"weights are written as .safetensors; the path is {file}")
    own = {name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for name, tensor in state.items()}
    with atomic_path(file) as temporary:
        save_file(own, temporary, metadata=dict(metadata or {}))
    return file


def load_strict(module: nn.Module, state: Mapping[str, Tensor], source: str | os.PathLike[str]) -> None:
    """Fills `module`. All or nothing: on error the module is untouched.

    source: where `state` comes from, for the message. Raises WeightsError that counts and shows the names missing
    from `state`, those the module does not have, and those of another shape.
    """
    own = module.state_dict()
    shapes = [
        f"{name} {list(state[name].shape)} in the file, {list(own[name].shape)} in the model"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    complaints = [
        *_complaint("missing", (name for name in own if name not in state)),
        *_complaint("unexpected", (name for name in state if name not in own)),
        *_complaint("of another shape", shapes),
    ]
    if complaints:
        kind = type(module).__name__
        raise WeightsError(
            f"{source} does not fit {kind}: {'; '.join(complaints)}. Use the config that the weights were made with"
        )
    module.load_state_dict(state)


def _complaint(kind: str, names: Iterable[str]) -> list[str]:
    found = list(names)
    if not found:
        return []
    rest = ", …" if len(found) > SHOWN else ""
    return [f"{len(found)} {kind} ({', '.join(found[:SHOWN])}{rest})"]
