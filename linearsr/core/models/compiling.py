"""torch.compile for the denoiser alone, block by block and in place."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from linearsr.core.errors import ConfigError, nearest

OPTIONS = ("backend", "mode", "dynamic", "fullgraph", "options")
"""torch.compile's own."""
GRAPHS_OF_ITS_OWN = ("reduce-overhead", "max-autotune")
"""Modes in which torch.compile makes CUDA graphs too, one for each block; a graph cannot be recorded in a graph."""
OFF = "or set model.compile_denoiser=False"


def compile_blocks(denoiser: nn.Module, setting: Mapping[str, Any] | bool) -> None:
    """Compiles every block that says `compile_alone = True`, at any depth; a denoiser without such blocks as a whole.

    Alike blocks share one compiled graph, so that the time to compile does not grow with their number, and what looks at
    values stays outside: a router, or the lookup of prepared times. Names in the state dict stay as they are; a deep copy
    (EMA's) is not compiled.

    setting: torch.compile's options, see OPTIONS; True for its defaults; False: nothing is done.
    Raises ConfigError for another key, for values that torch refuses, for CUDA graphs of both kinds, and, where the backend is
    inductor (the default), if what it needs on this machine is missing.
    """
    if setting is None or setting is False:
        return
    options = dict(_checked(setting))
    if options.get("backend", "inductor") == "inductor":
        _require_inductor()
    recorded = any(getattr(part, "recorded", None) is not None for part in denoiser.modules())
    if recorded and options.get("mode") in GRAPHS_OF_ITS_OWN:
        raise ConfigError(
            f"denoiser.cuda_graphs is set, and model.compile_denoiser.mode={options['mode']!r} makes CUDA graphs of its own; "
            'leave one out, or set mode="max-autotune-no-cudagraphs"'
        )
    for region in regions(denoiser):
        try:
            region.compile(**options)
        except (RuntimeError, TypeError, ValueError) as cause:
            first_line = str(cause).splitlines()[0]
            raise ConfigError(f"model.compile_denoiser={options}: torch.compile refuses it: {first_line}") from cause


def _checked(setting: Mapping[str, Any] | bool) -> Mapping[str, Any]:
    if setting is True:
        return {}
    if not isinstance(setting, Mapping):
        raise ConfigError(f"model.compile_denoiser is {setting!r}; wanted True, False or dict({'=…, '.join(OPTIONS)}=…)")
    for key in setting:
        if key not in OPTIONS:
            hint = nearest(key, OPTIONS) or "."
            raise ConfigError(f"model.compile_denoiser has no key {key!r}{hint} Its keys: {', '.join(OPTIONS)}")
    return setting


def regions(denoiser: nn.Module) -> list[nn.Module]:
    """What is compiled, each on its own."""
    return [module for module in denoiser.modules() if getattr(module, "compile_alone", False)] or [denoiser]


def _require_inductor() -> None:
    """Said before a run begins; torch would say it at the first step, from deep inside."""
    if torch.cuda.is_available() and find_spec("triton") is None:
        raise ConfigError(f"model.compile_denoiser needs triton on a GPU, and it is not installed: pip install triton, {OFF}")
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"model.compile_denoiser needs a C++ compiler, and there is no {compiler!r} on PATH: apt-get install g++, "
            f"set the environment variable CXX to yours, {OFF}"
        )
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        raise ConfigError(
            f"model.compile_denoiser needs Python's headers, and {headers} has no Python.h: apt-get install python3-dev, {OFF}"
        )
