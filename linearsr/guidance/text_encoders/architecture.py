"""What distinguishes one family of encoders in the transformers library from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from linearsr.core.errors import WeightsError
from linearsr.guidance.text_encoders.files import CONFIG, EncoderFiles


@dataclass(frozen=True)
class Architecture:
    """model: name of the class in transformers; kinds: values of "model_type" in config.json that it reads.

    width_key:    of config.json, D of the tokens
    position_key: of config.json, the most tokens there are positions for; None where positions are relative
    depth_key:    of config.json, number of blocks
    usual_tokens: the most that are read of a text where the user sets nothing
    attention:    implementation within transformers
    options:      further arguments of the class
    """

    model: str
    kinds: tuple[str, ...]
    usual_tokens: int
    width_key: str = "hidden_size"
    position_key: str | None = "max_position_embeddings"
    depth_key: str = "num_hidden_layers"
    attention: str = "sdpa"
    options: Mapping[str, Any] = field(default_factory=dict)

    def sizes(self, who: str, files: EncoderFiles) -> Sizes:
        """Raises WeightsError where config.json is of another architecture or lacks a size."""
        found = files.config.get("model_type")
        if found not in self.kinds:
            raise WeightsError(
                f"{who}: {files.folder / CONFIG} is of model_type {found!r}; {who} reads {' or '.join(map(repr, self.kinds))}. "
                "Give text_encoder.folder a model of that architecture, or set another text_encoder.type"
            )
        text = files.config.get("text_config") or files.config  # that of both towers of CLIP has it one level down
        positions = None if self.position_key is None else _size(who, files, text, self.position_key)
        return Sizes(_size(who, files, text, self.width_key), _size(who, files, text, self.depth_key), positions)


@dataclass(frozen=True)
class Sizes:
    """width: D of the tokens; depth: number of blocks; positions: the most tokens, None if unlimited."""

    width: int
    depth: int
    positions: int | None


def _size(who: str, files: EncoderFiles, config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise WeightsError(f"{who}: {files.folder / CONFIG} has {key} = {value!r}; wanted a whole number of at least 1")
    return value
