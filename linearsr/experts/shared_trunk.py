"""Experts that differ in some of their parameters and share the others.

Each expert stays a whole module, so that gradients, compiling and activation checkpointing know nothing of experts. A shared
parameter belongs to the trunk alone; in the experts' modules it is a plain attribute, the very same object. So it is counted,
saved and moved by an optimiser once, and its gradient is the sum over the experts that used it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from linearsr.core.errors import ConfigError
from linearsr.experts.low_rank import LowRankLinear, adapt

SHOWN = 6


def per_expert_names(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Of a denoiser's parameter names those that match any pattern, as shells match: "*.feed_forward.*".

    Raises ConfigError for a pattern that matches none.
    """
    if isinstance(patterns, str) or not patterns:
        raise ConfigError(f'denoiser.per_expert is {patterns!r}; wanted a list of patterns such as ["*.feed_forward.*"]')
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            shown = ", ".join(names[:SHOWN])
            raise ConfigError(f"denoiser.per_expert: {pattern!r} matches no parameter of the expert; they are {shown}, …")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def share(trunk: nn.Module, experts: Iterable[nn.Module], patterns: Sequence[str], rank: int | None = None) -> None:
    """trunk and experts: alike, each whole. Afterwards the trunk holds the parameters that no pattern matches and cannot be
    called; each expert holds the others, and all buffers, which begin as the trunk's.

    rank: of what an expert adds to each matrix of a linear layer that a pattern matches, while the matrix itself is the
    trunk's; None: matrices are the expert's own. Raises ConfigError for patterns and ranks that choose nothing.
    """
    experts = list(experts)
    own = per_expert_names([name for name, _ in trunk.named_parameters(remove_duplicate=False)], patterns)
    low = [] if rank is None else _matrices(trunk, own, rank)
    for expert in experts:
        buffers = dict(expert.named_buffers())
        for name, buffer in trunk.named_buffers():
            buffers[name].copy_(buffer)
        for name in low:
            adapt(expert.get_submodule(name.rpartition(".")[0]), rank or 0)  # type: ignore[arg-type]
    for name in set(own) - set(low):
        module, leaf = _place(trunk, name)
        module._parameters[leaf] = None  # as a layer without bias has it, so that what prints a module finds it
    for module in trunk.modules():
        module._buffers.clear()
    tie(trunk, experts)


def tie(trunk: nn.Module, experts: Iterable[nn.Module]) -> None:
    """The experts look up what the trunk holds now. To be repeated where torch has put other parameters in its place."""
    shared = dict(trunk.named_parameters(remove_duplicate=False))
    for expert in experts:
        for name, parameter in shared.items():
            module, leaf = _place(expert, name)
            module._parameters.pop(leaf, None)
            module.__dict__["base" if isinstance(module, LowRankLinear) and leaf == "weight" else leaf] = parameter


def _matrices(trunk: nn.Module, names: Sequence[str], rank: int) -> list[str]:
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ConfigError(f"denoiser.rank is {rank!r}; wanted a whole number ≥ 1, or None")
    found = [name for name in names if name.endswith(".weight") and type(_place(trunk, name)[0]) is nn.Linear]
    if not found:
        raise ConfigError(f"denoiser.rank={rank}: denoiser.per_expert matches no weight of a linear layer; leave rank out")
    return found


def _place(root: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return root.get_submodule(path), leaf
