"""From one dense model to a mixture of its copies, and back: names and tensors alone.

A mixture's state dict has `experts.k.<name>`, and `trunk.<name>` for what its experts share; <name> is the dense model's. What
an expert adds to a matrix of the trunk has names of its own, see `low_rank`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from linearsr.core.errors import WeightsError
from linearsr.experts.low_rank import DOWN, UP, adapted

EXPERT = re.compile(r"experts\.(\d+)\.(.+)")
TRUNK = "trunk."
SHOWN = 5


def number_of_experts(names: Iterable[str]) -> int:
    """Of a mixture's state dict; 0 for any other. Raises WeightsError where one in between is missing."""
    found = {int(match[1]) for name in names if (match := EXPERT.fullmatch(name))}
    if found and max(found) + 1 != len(found):
        raise WeightsError(f"the experts are numbered {sorted(found)}; wanted 0..{len(found) - 1}")
    return len(found)


def dense_name(name: str) -> str | None:
    """What a tensor of a mixture is called in a dense model; None for a router's."""
    if name.startswith(TRUNK):
        return name.removeprefix(TRUNK)
    match = EXPERT.fullmatch(name)
    return None if match is None else match[2]


def dense_of_expert(mixture: Mapping[str, Tensor], expert: int) -> dict[str, Tensor]:
    """One expert of a mixture's state dict, with what it shares, as the state dict of a dense model. Only what is a sum of both
    is a new tensor. Raises WeightsError if there is no such expert."""
    count = number_of_experts(mixture)
    if not 0 <= expert < count:
        raise WeightsError(f"there is no expert {expert}; the mixture has {count} experts")
    prefix = f"experts.{expert}."
    dense = {
        name.removeprefix(start): value
        for start in (TRUNK, prefix)
        for name, value in mixture.items()
        if name.startswith(start)
    }
    for up in [name for name in dense if name.endswith(UP)]:
        layer = up.removesuffix(UP)
        weight, down = f"{layer}weight", f"{layer}{DOWN}"
        dense[weight] = adapted(dense[weight], dense.pop(up), dense.pop(down))
    return dense


def mixture_of_copies(dense: Mapping[str, Tensor], mixture: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """A mixture's state dict in which every expert is the dense model (LinearSR, Tab. 5). No tensor is copied.

    mixture: its state dict as it is; what a router has learnt stays, and what experts add to the trunk becomes 0
    source:  where `dense` comes from, for the message. Raises WeightsError for names missing or left over and for other shapes.
    """
    filled = dict(mixture)
    for name, value in mixture.items():
        wanted = dense_name(name)
        if wanted is None or wanted.endswith(DOWN):
            continue
        if wanted.endswith(UP):
            filled[name] = value.new_zeros(value.shape)
        elif wanted not in dense:
            raise _misfit(source, f"{wanted} is missing")
        elif dense[wanted].shape != value.shape:
            raise _misfit(source, f"{wanted} is {list(dense[wanted].shape)}, an expert's {list(value.shape)}")
        else:
            filled[name] = dense[wanted]
    known = {dense_name(name) for name in mixture}
    if surplus := [name for name in dense if name not in known]:
        raise _misfit(source, f"{len(surplus)} unexpected ({', '.join(surplus[:SHOWN])})")
    return filled


def _misfit(source: str, what: str) -> WeightsError:
    return WeightsError(f"{source} does not fit: {what}; make denoiser.expert the model that these weights are of")
