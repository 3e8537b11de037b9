"""A config's model dict, with what cannot be built here replaced by something of its size."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from linearsr.core.errors import ConfigError, LinearSRError
from linearsr.core.planning.stand_ins import LatentsOfSize, SanaDCAE, TokensOfSize
from linearsr.core.registries import AUTOENCODERS, GUIDANCE

WIDTHS = {"GemmaTextEncoder": 2304, "MiniLMTextEncoder": 384}
"""Of the tokens of the models that they are made for (gemma-2-2b, all-MiniLM-L6-v2), where a folder cannot be read."""
UNWEIGHTED = {"DCAE": SanaDCAE}
"""Likewise of an autoencoder: the published one's sizes."""
TOKENS = 300
"""Of a prompt, where the text encoder does not say: what Sana keeps."""


def ready_to_build(
    model: Mapping[str, Any], *, tokens: int | None = None, guidance_width: int | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The dict, and what was assumed, in words. Guidance is always replaced: what it costs to look is not counted.

    tokens, guidance_width: of the guidance, instead of what it says itself. Raises ConfigError where neither does.
    """
    ready, notes = _placed_nowhere(model), []
    ready["compile_denoiser"] = False
    ready.pop("memory_gib", None)
    if ready.get("guidance") is not None:
        ready["guidance"], more = _tokens(ready["guidance"], tokens, guidance_width)
        notes += more
    ready["autoencoder"], more = _latents(ready["autoencoder"], ready.get("upscale"))
    denoiser = ready.get("denoiser")
    if isinstance(denoiser, dict) and denoiser.get("offload") is not None:
        denoiser.update(offload=None, offload_folder=None)
        more += ["the denoiser's offload is left out of account: all experts are counted as memory of one device"]
    return ready, notes + more


def _placed_nowhere(described: Any) -> Any:
    """A copy whose `device` is "cpu": nothing is computed, so a part's own need not be here."""
    if isinstance(described, Mapping):
        return {key: "cpu" if key == "device" else _placed_nowhere(value) for key, value in described.items()}
    return type(described)(map(_placed_nowhere, described)) if isinstance(described, list | tuple) else described


def _tokens(guidance: Mapping[str, Any], length: int | None, width: int | None) -> tuple[dict[str, Any], list[str]]:
    assumed = []
    encoder = guidance.get("text_encoder") or {}
    try:
        built = None if width and length else GUIDANCE.build(guidance)
    except LinearSRError as error:
        built = None
        width = width or WIDTHS.get(encoder.get("type", ""))
        if width is None:
            raise ConfigError(
                f"the width of model.guidance's tokens cannot be read: {error}; say it with --guidance-width"
            ) from error
        assumed = [f"model.guidance cannot be built here, so its tokens are taken to be {width} wide: {error}"]
    width = width or built.width  # type: ignore[union-attr]
    length = length or getattr(getattr(built, "text_encoder", None), "max_tokens", None) or encoder.get("max_tokens") or TOKENS
    assumed += [f"guidance: {length} tokens, {width} wide; tagger and text encoder are not counted"]
    return {"type": _path(TokensOfSize), "width": width, "length": length}, assumed


def _latents(autoencoder: Mapping[str, Any], upscale: Any) -> tuple[dict[str, Any], list[str]]:
    try:
        AUTOENCODERS.build(autoencoder, upscale=upscale)
    except LinearSRError as error:
        part = UNWEIGHTED.get(autoencoder.get("type", ""))
        if part is None:
            raise
        why = f"model.autoencoder cannot be built here: {error}"
        if find_spec("diffusers") is None:
            sizes = {"factor": part.factor, "channels": part.channels}
            return {"type": _path(LatentsOfSize), **sizes}, [f"encoding and decoding are not counted; {why}"]
        own = {"dtype": autoencoder.get("dtype", "float32")}
        return {"type": _path(part), **own}, [f"the autoencoder is taken to be of the published sizes; {why}"]
    return dict(autoencoder), []


def _path(part: type) -> str:
    return f"{part.__module__}.{part.__qualname__}"
