"""Pretrained Sana weights into a LinearDiT: the sizes from its config, the tensors by name."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.weights.files import read_state_dict
from linearsr.core.weights.sana_names import DROPPED, Naming, naming_of
from linearsr.core.weights.widen import widen_input

FIXED: dict[str, Any] = {
    "dropout": 0.0,
    "attention_bias": False,
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "guidance_embeds": False,
    "timestep_scale": 1.0,
}
"""Keys of diffusers' config for which LinearDiT has one value only."""

DEFAULTS: dict[str, Any] = {
    "in_channels": 32,
    "num_attention_heads": 70,
    "attention_head_dim": 32,
    "num_layers": 20,
    "num_cross_attention_heads": 20,
    "cross_attention_head_dim": 112,
    "caption_channels": 2304,
    "mlp_ratio": 2.5,
    "sample_size": 32,
    "patch_size": 1,
    "interpolation_scale": None,
    "qk_norm": None,
}
"""diffusers' own, for a config that leaves a key out."""

QK_NORMS = (None, "rms_norm_across_heads")
FILES = ("diffusion_pytorch_model", "model")


class IncompleteWeights(UserWarning):
    """Names that a Sana source lacks or that the denoiser has no place for."""


@dataclass(frozen=True)
class SanaReport:
    """missing: our names that the source lacks; unexpected: its names without a place here;
    new: our parameters that no Sana has (the LR stem's); widened: input channels added, at 0."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    new: tuple[str, ...]
    widened: int


def sana_config(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """dict(type="LinearDiT", …) for a diffusers folder (of the transformer or of a whole pipeline) or its config as a dict.

    Raises ConfigError for a value that LinearDiT cannot have, WeightsError for a folder without config.json.
    """
    given = dict(source) if isinstance(source, Mapping) else _read_config(Path(source))
    for key, value in FIXED.items():
        if given.get(key, value) != value:
            raise ConfigError(f"the Sana config says {key}={given[key]!r}; LinearDiT has {value!r} only")
    cfg = DEFAULTS | given
    if cfg.get("out_channels") not in (None, cfg["in_channels"]):
        raise ConfigError(f"the Sana config says out_channels={cfg['out_channels']}; wanted in_channels={cfg['in_channels']}")
    if cfg["qk_norm"] not in QK_NORMS:
        raise ConfigError(f"the Sana config says qk_norm={cfg['qk_norm']!r}; LinearDiT knows {QK_NORMS}")
    width = cfg["num_attention_heads"] * cfg["attention_head_dim"]
    if cfg["num_cross_attention_heads"] * cfg["cross_attention_head_dim"] != width:
        raise ConfigError(
            f"the Sana config has {cfg['num_cross_attention_heads']} cross-attention heads of "
            f"{cfg['cross_attention_head_dim']}; their product must be the width {width}"
        )
    qk_norm = cfg["qk_norm"] is not None
    return {
        "type": "LinearDiT",
        "depth": cfg["num_layers"],
        "width": width,
        "head_width": cfg["attention_head_dim"],
        "cross_head_width": cfg["cross_attention_head_dim"],
        "cross_qk_norm": qk_norm,
        "attention": {"type": "ReLULinearAttention", "qk_norm": qk_norm},
        "feed_forward": {"type": "GatedConvFeedForward", "ratio": cfg["mlp_ratio"]},
        "lr_stem": None,
        "latent_channels": cfg["in_channels"],
        "guidance_width": cfg["caption_channels"],
        "patch_size": cfg["patch_size"],
        "position_scale": cfg["interpolation_scale"],
        "position_base": cfg["sample_size"] // cfg["patch_size"],
    }


def load_sana(denoiser: nn.Module, source: str | Path | Mapping[str, Tensor]) -> SanaReport:
    """Fills a LinearDiT from a diffusers folder, a weights file or a state dict, in diffusers' or the original naming.

    An embedding for more channels than Sana's (an LR stem) is widened. Returns what was missing and unexpected, and
    warns of it (IncompleteWeights). Raises WeightsError, and leaves the denoiser untouched, if the source is not Sana's or
    a shape differs.
    """
    state = dict(source) if isinstance(source, Mapping) else read_sana_weights(Path(source))
    naming = naming_of(state)
    if naming is None:
        raise WeightsError(
            f"these are no weights of Sana: neither 'patch_embed.proj.weight' (diffusers) nor 'x_embedder.proj.weight' "
            f"(original) is among the {len(state)} names"
        )
    filled, report = _fill(denoiser.state_dict(), state, naming)
    denoiser.load_state_dict(filled, strict=False)
    if report.missing or report.unexpected:
        shown = [f"{len(names)} {kind}: {', '.join(names[:5])}" for kind, names in _kinds(report) if names]
        warnings.warn(f"Sana weights are incomplete: {'; '.join(shown)}", IncompleteWeights, stacklevel=2)
    return report


def _fill(own: Mapping[str, Tensor], state: Mapping[str, Tensor], naming: Naming) -> tuple[dict[str, Tensor], SanaReport]:
    filled: dict[str, Tensor] = {}
    missing, new, used, widened = [], [], set(), 0
    for name, target in own.items():
        sources = naming.sources(name)
        if not sources:
            new.append(name)
        elif any(part not in state for part in sources):
            missing.append(name)
        else:
            used.update(sources)
            tensor = torch.cat([state[part] for part in sources])
            if name == "patch_embed.weight" and tensor.shape[1] < target.shape[1]:
                widened = target.shape[1] - tensor.shape[1]
                tensor = widen_input(tensor, target.shape[1])
            if _trimmed(tensor) != _trimmed(target):
                raise WeightsError(
                    f"{' + '.join(sources)} is {list(tensor.shape)} and {name} {list(target.shape)}; "
                    "build the denoiser from sana_config of the same source"
                )
            filled[name] = tensor.reshape(target.shape)
    unexpected = [name for name in state if name not in used and not DROPPED.match(name)]
    return filled, SanaReport(tuple(missing), tuple(unexpected), tuple(new), widened)


def _trimmed(tensor: Tensor) -> list[int]:
    """The shape without 1s at its end: a 1×1 convolution is a product on tokens here."""
    shape = list(tensor.shape)
    while shape and shape[-1] == 1:
        shape.pop()
    return shape


def _kinds(report: SanaReport) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("missing", report.missing), ("unexpected", report.unexpected)


def _transformer_folder(folder: Path) -> Path:
    return folder / "transformer" if (folder / "transformer").is_dir() else folder


def _read_config(folder: Path) -> dict[str, Any]:
    file = _transformer_folder(folder) / "config.json"
    if not file.is_file():
        raise WeightsError(f"{folder} is no diffusers folder of Sana; wanted {file}")
    return json.loads(file.read_text())


def read_sana_weights(path: Path) -> dict[str, Tensor]:
    """A file, or a diffusers folder with one file or several and an index."""
    if not path.is_dir():
        return read_state_dict(path)
    folder = _transformer_folder(path)
    for stem in FILES:
        for suffix in (".safetensors", ".bin"):
            index = folder / f"{stem}{suffix}.index.json"
            if index.is_file():
                parts = sorted(set(json.loads(index.read_text())["weight_map"].values()))
                return {name: tensor for part in parts for name, tensor in read_state_dict(folder / part).items()}
            if (folder / f"{stem}{suffix}").is_file():
                return read_state_dict(folder / f"{stem}{suffix}")
    raise WeightsError(f"{folder} holds no weights; wanted {FILES[0]}.safetensors, its .index.json, or {FILES[0]}.bin there")
