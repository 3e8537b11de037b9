"""Pickled checkpoints of other hands: read by torch's restricted unpickler, with placeholders for what mmengine adds.

mmengine 0.10.7 saves its log (HistoryBuffer, whose methods are pickled as calls of builtins.getattr) and numpy scalars
beside the weights, which `weights_only=True` refuses. Only the weights are wanted, so each of those names stands for an
object that does nothing: no code of mmengine or numpy runs, and getattr itself is never called.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any, Self

import torch

from linearsr.core.errors import WeightsError


class Placeholder:
    """Takes any arguments and any state, keeps nothing and does nothing."""

    def __new__(cls, *_: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: object):
        pass

    def __setstate__(self, _: object) -> None:
        pass


NAMES = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
)
"""All that a checkpoint of mmengine names besides tensors and plain types; numpy 1 says core, numpy 2 _core."""

REFUSED = re.compile(r"GLOBAL (\S+)")
"""In the words of torch's unpickler, what it was asked to import."""


def read_pickled(path: Path) -> Any:
    """What `path` holds, on the CPU: plain types and tensors, and Placeholder where mmengine's own objects stood.

    Tried as `weights_only=True` reads it, then with NAMES besides. The list holds for this call alone; torch keeps it for
    the whole process meanwhile, where it lets another thread read placeholders and nothing else.
    Raises WeightsError for a file that is damaged or that names anything else; nothing of it was run.
    """
    try:
        return _load(path)
    except pickle.UnpicklingError:
        pass  # perhaps mmengine's
    except Exception as cause:  # torch.load raises what the zip, pickle and weights_only layers raise
        raise _unreadable(path, cause) from cause
    try:
        with torch.serialization.safe_globals([(Placeholder, name) for name in NAMES]):
            return _load(path)
    except Exception as cause:
        raise _unreadable(path, cause) from cause


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _unreadable(path: Path, cause: Exception) -> WeightsError:
    found = REFUSED.search(str(cause))
    if found:
        return WeightsError(
            f"weights file {path} asks for {found[1]}, which no checkpoint needs; the file was refused and nothing of it was "
            "run. Where it was made, save the tensors alone: torch.save(model.state_dict(), …) or .safetensors"
        )
    return damaged(path, cause)


def damaged(path: Path, cause: Exception) -> WeightsError:
    """The error for a file that cannot be read, with its size and the first line of what the reader said."""
    first_line = (str(cause).splitlines() or [""])[0]
    return WeightsError(
        f"weights file {path} ({path.stat().st_size} bytes) cannot be read: {type(cause).__name__}: {first_line}; "
        f"it is damaged, or holds Python objects, which are not unpickled; wanted tensors only at {path.absolute()}"
    )
