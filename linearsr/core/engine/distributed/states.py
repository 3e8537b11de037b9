"""State dicts of a model in pieces: they are saved whole and loaded from whole tensors.

So a checkpoint is the same file whether one process wrote it or several that share the weights: the same names, the same
numbering of the optimiser's states. It loads on any number of processes.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from linearsr.core.engine.distributed.tensors import in_pieces_like


def load_whole_tensors(model: nn.Module) -> None:
    """From now on `model.load_state_dict` takes whole tensors for the parameters that lie in pieces."""

    def cut(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        for name, parameter in module.named_parameters():
            if isinstance(parameter, DTensor) and isinstance(state.get(prefix + name), Tensor):
                state[prefix + name] = in_pieces_like(state[prefix + name], parameter)

    model.register_load_state_dict_pre_hook(cut)


def load_whole_states(optimizer: Optimizer) -> None:
    """From now on `optimizer.load_state_dict` takes whole states for the parameters that lie in pieces.

    A state of the parameter's shape (a moment) is cut as the parameter is; others (a count of steps) are everybody's.
    """

    def cut(own: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
        numbers = [number for group in saved["param_groups"] for number in group["params"]]
        parameters = [parameter for group in own.param_groups for parameter in group["params"]]
        by_number = dict(zip(numbers, parameters, strict=False))  # torch says what differs in number
        states = {
            number: {name: _cut_like(value, by_number.get(number)) for name, value in state.items()}
            for number, state in saved["state"].items()
        }
        return {**saved, "state": states}

    optimizer.register_load_state_dict_pre_hook(cut)


def _cut_like(value: Any, parameter: Tensor | None) -> Any:
    if isinstance(value, Tensor) and parameter is not None and value.shape == parameter.shape:
        return in_pieces_like(value, parameter)
    return value
