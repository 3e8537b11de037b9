"""A Sana checkpoint as the start of a run of ours: its weights under our names, with room for the LR picture."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.registries import DENOISERS
from linearsr.core.weights.sana import IncompleteWeights, SanaReport, load_sana, read_sana_weights
from linearsr.core.weights.sana_names import Naming, naming_of

DENOISER = "denoiser."


def convert_sana(
    source: str | Path, denoiser: Mapping[str, Any], *, upscale: int, latent_factor: int = 32, seed: int = 0
) -> tuple[dict[str, Tensor], SanaReport]:
    """(state dict of a LinearSR whose autoencoder and guidance have no weights in it, what was found).

    source:        a diffusers folder, of the transformer or of a pipeline, or a weights file in either naming
    denoiser:      dict(type="LinearDiT", …) of the config, or a mixture's dict, whose `expert` is taken: every expert of a run
                   that starts from the result begins as a copy of it
    latent_factor: of the autoencoder; DC-AE f32's 32
    seed:          of the weights that no Sana has, the LR stem's

    The width of the latent and of the guidance tokens are the file's. Raises WeightsError if the weights are not Sana's, are
    incomplete or do not fit, ConfigError for a denoiser without their sizes.
    """
    state = read_sana_weights(Path(source))
    naming = naming_of(state)
    if naming is None:
        raise WeightsError(f"{source} holds no weights of Sana; wanted a diffusers folder, or a file in either naming")
    described = denoiser.get("expert", denoiser)
    if described.get("type") != "LinearDiT":
        raise ConfigError(f"model.denoiser is {described.get('type')!r}; Sana's weights are a LinearDiT's, or of one's mixture")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which seeds every device as well
        made = DENOISERS.build(
            described,
            latent_channels=_size(state, naming, "patch_embed.weight", 1),
            guidance_width=_size(state, naming, "guidance_projection.linear_1.weight", 1),
            latent_factor=latent_factor,
            upscale=upscale,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteWeights)  # an error here
        report = load_sana(made, state)
    for what, names in (("lacks", report.missing), ("has besides", report.unexpected)):
        if names:
            raise WeightsError(
                f"{source} {what} {len(names)} tensors: {', '.join(names[:5])}; wanted those of model.denoiser: see "
                "sana_config for the sizes of this Sana"
            )
    return {f"{DENOISER}{name}": tensor for name, tensor in made.state_dict().items()}, report


def _size(state: Mapping[str, Tensor], naming: Naming, ours: str, axis: int) -> int:
    name = naming.sources(ours)[0]
    if name not in state:
        raise WeightsError(f"the Sana weights lack {name}")
    return state[name].shape[axis]
