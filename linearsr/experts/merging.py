"""Experts that were trained as jobs of their own, put together; and one of them taken out. Whole models' state dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from linearsr.core.errors import WeightsError
from linearsr.experts.upcycle import EXPERT, dense_name, dense_of_expert, number_of_experts

DENOISER = "denoiser."
"""Of the names in a model's state dict: what experts are about."""
SHOWN = 3

State = Mapping[str, Tensor]


def merge_experts(models: Sequence[State], sources: Sequence[str]) -> dict[str, Tensor]:
    """The state dict of the model whose denoiser's expert k is that of models[k]. No tensor is copied or changed.

    Each of `models` is a mixture of as many experts, of which the k-th is taken; or some are dense, and then the mixture's
    experts share nothing. sources: where they come from, for the messages. Raises WeightsError for other numbers of experts,
    other names or shapes, and for parts that all experts share (the trunk, a router, whatever is not the denoiser) where they
    are not one and the same.
    """
    parts = [_split(model, source) for model, source in zip(models, sources, strict=True)]
    for (denoiser, _), source in zip(parts, sources, strict=True):
        _refuse_other_number(denoiser, len(models), source)
    if all(number_of_experts(denoiser) for denoiser, _ in parts):
        own = [_own(denoiser, k) for k, (denoiser, _) in enumerate(parts)]
        shared = [{n: v for n, v in model.items() if not EXPERT.fullmatch(n.removeprefix(DENOISER))} for model in models]
    else:
        dense = [dense_of_expert(d, k) if number_of_experts(d) else d for k, (d, _) in enumerate(parts)]
        own, shared = dense, [rest for _, rest in parts]
    for state, source in zip(own[1:], sources[1:], strict=True):
        _refuse_other_shapes(state, own[0], source, sources[0])
    merged = {f"{DENOISER}experts.{k}.{name}": value for k, state in enumerate(own) for name, value in state.items()}
    return _common(shared, sources) | merged


def split_expert(model: State, expert: int, source: str) -> dict[str, Tensor]:
    """A mixture's state dict as that of a dense model which is its expert `expert` at every time. Raises WeightsError for a
    model without that expert."""
    denoiser, rest = _split(model, source)
    if not number_of_experts(denoiser):
        raise WeightsError(f"{source} is no mixture: its denoiser has no experts")
    kept = {name: value for name, value in rest.items() if not name.startswith(DENOISER)}  # a router has nothing to decide
    return kept | {DENOISER + name: value for name, value in dense_of_expert(denoiser, expert).items()}


def trained_expert(config: Mapping[str, Any]) -> int | None:
    """The one that a run's config trains, by model.expert_shares; None where it trains several or does not say."""
    shares = (config.get("model") or {}).get("expert_shares")
    trained = [expert for expert, share in enumerate(shares or ()) if share > 0]
    return trained[0] if len(trained) == 1 else None


def _split(model: State, source: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(the denoiser's trunk and experts, or all of a dense one, without prefix; the rest)"""
    denoiser = {name.removeprefix(DENOISER): value for name, value in model.items() if name.startswith(DENOISER)}
    if not denoiser:
        raise WeightsError(f"{source} is no model of ours: no name begins with {DENOISER!r}; wanted a checkpoint of a run")
    if number_of_experts(denoiser):
        denoiser = {name: value for name, value in denoiser.items() if dense_name(name) is not None}
    taken = {DENOISER + name for name in denoiser}
    return denoiser, {name: value for name, value in model.items() if name not in taken}


def _own(denoiser: State, expert: int) -> dict[str, Tensor]:
    """What the mixture's expert has for itself, without prefix."""
    prefix = f"experts.{expert}."
    return {name.removeprefix(prefix): value for name, value in denoiser.items() if name.startswith(prefix)}


def _refuse_other_number(denoiser: State, count: int, source: str) -> None:
    found = number_of_experts(denoiser)
    if found not in (0, count):
        raise WeightsError(f"{source} is a mixture of {found} experts, and {count} files are given; wanted one for each expert")


def _refuse_other_shapes(state: State, first: State, source: str, first_source: str) -> None:
    if others := sorted(state.keys() ^ first.keys()):
        raise WeightsError(f"{source} and {first_source} have unlike parameters: {', '.join(others[:SHOWN])} is in one alone")
    for name, value in state.items():
        if value.shape != first[name].shape:
            raise WeightsError(
                f"{name} is {list(value.shape)} in {source} and {list(first[name].shape)} in {first_source}; wanted one model"
            )


def _common(parts: Sequence[State], sources: Sequence[str]) -> dict[str, Tensor]:
    """What no expert has for itself, once."""
    found: dict[str, tuple[Tensor, str]] = {}
    for part, source in zip(parts, sources, strict=True):
        for name, value in part.items():
            first, where = found.setdefault(name, (value, source))
            if first.shape != value.shape or not torch.equal(first, value):
                raise WeightsError(
                    f"{source} and {where} differ in {name}, which all experts share. Train jobs with a learning rate of 0 for "
                    "it (paramwise_cfg), or experts that share nothing"
                )
    return {name: value for name, (value, _) in found.items()}
