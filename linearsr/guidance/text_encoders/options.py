"""What a user may set of every text encoder, checked before anything is loaded."""

from __future__ import annotations

from linearsr.core.errors import ConfigError
from linearsr.core.values import require_count

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


def require_hidden_layer(layer: object, depth: int, key: str) -> int:
    """Of the blocks of a transformer, counted from the end: −1 the last, −depth the first."""
    if isinstance(layer, bool) or not isinstance(layer, int) or not -depth <= layer <= -1:
        raise ConfigError(f"{key} is {layer!r}; wanted a whole number from {-depth} to -1, counted from the end; change {key}")
    return layer
