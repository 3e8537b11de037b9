"""What a user may set of every text encoder, checked before anything is loaded."""

from __future__ import annotations

import torch

from linearsr.core.errors import ConfigError
from linearsr.core.values import require_count

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
FEWEST_TOKENS = 3
"""Two that mark the ends, and one of the text."""


def require_max_tokens(value: int | None, usual: int, positions: int | None, who: str) -> int:
    if value is None:
        return usual if positions is None else min(usual, positions)
    count = require_count(value, "text_encoder.max_tokens", FEWEST_TOKENS)
    if positions is not None and count > positions:
        raise ConfigError(
            f"text_encoder.max_tokens is {count}; this {who} has positions for {positions}; change text_encoder.max_tokens"
        )
    return count


def require_dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise ConfigError(f"text_encoder.dtype is {name!r}; wanted {', '.join(map(repr, DTYPES))}; change text_encoder.dtype")
    return DTYPES[name]


def require_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as cause:
        raise ConfigError(f"text_encoder.device is {name!r}; wanted 'cpu', 'cuda' or 'cuda:0'") from cause
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"text_encoder.device is {name!r} and torch sees no CUDA device; change text_encoder.device")
    return device
