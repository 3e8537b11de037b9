"""What a dtype or a device in a config must be, said once: as `values`, where torch has to be asked.

Each function gives torch's own object, or raises ConfigError with what came, what is wanted and `key`, what the user sets.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from linearsr.core.errors import ConfigError, nearest

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""In which models are trained and restore."""
DTYPES_AND_FLOAT64 = {**DTYPES, "float64": torch.float64}
"""In which frozen encoders and autoencoders run, too."""


def require_dtype(name: object, key: str, known: Mapping[str, torch.dtype]) -> torch.dtype:
    """The one of that name in `known`."""
    if not isinstance(name, str) or name not in known:
        wanted = ", ".join(map(repr, known))
        raise ConfigError(f"{key} is {name!r}{nearest(str(name), known)}; wanted {wanted}; change {key}")
    return known[name]


def require_device(name: str, key: str) -> torch.device:
    """ "cpu", "cuda", "cuda:1", …: one that torch sees here."""
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as cause:
        raise ConfigError(f"{key} is {name!r}; wanted 'cpu', 'cuda', 'cuda:1', …; change {key}") from cause
    if device.type == "cuda" and (device.index or 0) >= (count := _cuda_devices()):
        raise ConfigError(
            f"{key} is {name!r} and torch sees {count or 'no'} CUDA devices here; wanted one of them, or 'cpu'; change {key}"
        )
    return device


def refuse_emulated(dtype: torch.dtype, device: torch.device, key: str) -> None:
    """Raises ConfigError for bfloat16 on a card that computes it in other numbers, slowly."""
    if dtype is torch.bfloat16 and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_name(device)
        raise ConfigError(f"{key} is 'bfloat16', which {name} does not compute; wanted 'float16' or 'float32' there")


def _cuda_devices() -> int:
    """0, too, where a driver counts cards that torch cannot use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
