"""How many parameters a model has, and where."""

from __future__ import annotations

from collections import Counter

from torch import nn

from linearsr.core.planning.ledger import alike


def count_parameters(module: nn.Module) -> int:
    """Shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def parameters_by_part(module: nn.Module) -> dict[str, int]:
    """`blocks.*.attention`, `time_block` … -> parameters; what is alike but for numbers is one part, and so are experts."""
    found: Counter[str] = Counter()
    for name, parameter in module.named_parameters():
        found[_part(name)] += parameter.numel()
    return dict(found)


def _part(name: str) -> str:
    owner, _, own = alike(name).removeprefix("experts.*.").rpartition(".")
    words = owner.split(".")
    inside = 1 if words[0] != "blocks" else 3
    return ".".join(words[:inside]) or own
