"""A model begins with the weights of another run, which may have had fewer experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from linearsr.core.errors import WeightsError
from linearsr.core.weights import load_strict

DENOISER = "denoiser."


def start_from(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Fills `model` with `state`, of a model built alike; where the model's denoiser has experts and the state is of one
    without, every expert becomes a copy of that one (LinearSR, Tab. 5). All or nothing.

    source: where `state` comes from, for the message. Raises WeightsError if it does not fit.
    """
    own = model.state_dict()
    denoiser: Any = getattr(model, "denoiser", None)
    if own.keys() == state.keys() or not hasattr(denoiser, "upcycle"):
        load_strict(model, state, source)
        return
    rest = {name: value for name, value in state.items() if not name.startswith(DENOISER)}
    wanted = {name: value for name, value in own.items() if not name.startswith(DENOISER)}
    odd = [
        name for name in {**rest, **wanted} if name not in rest or name not in wanted or rest[name].shape != wanted[name].shape
    ]
    if odd:
        raise WeightsError(f"{source} does not fit: {odd[0]} is in one of file and model alone, or of another shape")
    denoiser.upcycle({name.removeprefix(DENOISER): state[name] for name in state.keys() - rest.keys()}, source)
    load_strict(model, model.state_dict() | rest, source)
