"""A DC-AE's folder as the diffusers library saves it, alone or as `vae/` of a pipeline. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linearsr.core.errors import WeightsError
from linearsr.core.weights import read_state_dict
from linearsr.core.weights.wanted import read_json, require_file

KEY = "autoencoder.folder"
CLASS = "AutoencoderDC"
CONFIG = "config.json"
PIPELINE = "model_index.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
INDEX = "diffusion_pytorch_model.safetensors.index.json"


@dataclass(frozen=True)
class DCFolder:
    """config: of the model; weights: its file, or its shards; factor, channels, scale: see FrozenAutoencoder."""

    path: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    factor: int
    channels: int
    scale: float

    def state_dict(self) -> dict[str, Any]:
        """Raises WeightsError for a damaged file."""
        return {name: tensor for file in self.weights for name, tensor in read_state_dict(file).items()}


def dc_folder(who: str, folder: str | Path) -> DCFolder:
    """Looks the files up and reads the JSON ones. Raises WeightsError that names the file and where it should be."""
    place = Path(folder)
    if (place / PIPELINE).is_file():
        place = place / "vae"
    file = require_file(who, place / CONFIG, KEY)
    config = read_json(who, file)
    if config.get("_class_name") != CLASS:
        raise WeightsError(f"{who}: {file} is of a {config.get('_class_name')!r}; wanted {CLASS!r}; change {KEY}")
    widths, channels, scale = (config.get(key) for key in ("encoder_block_out_channels", "latent_channels", "scaling_factor"))
    if not (isinstance(widths, list) and isinstance(channels, int) and isinstance(scale, int | float) and scale > 0):
        raise WeightsError(
            f"{who}: {file} has encoder_block_out_channels={widths!r}, latent_channels={channels!r}, scaling_factor={scale!r}; "
            "wanted a list, a whole number and a number above 0, as the diffusers library writes them"
        )
    return DCFolder(place, config, _weights(who, place), 2 ** (len(widths) - 1), channels, float(scale))


def _weights(who: str, place: Path) -> tuple[Path, ...]:
    if not (place / INDEX).is_file():
        return (require_file(who, place / WEIGHTS, KEY),)
    shards = sorted({str(name) for name in read_json(who, place / INDEX).get("weight_map", {}).values()})
    return tuple(require_file(who, place / Path(shard).name, KEY) for shard in shards)
