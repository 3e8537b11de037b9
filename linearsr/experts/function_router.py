"""Routing by a function of one's own, named in the config."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from linearsr.core.errors import ConfigError
from linearsr.core.plugins import load_named
from linearsr.core.registries import ROUTERS
from linearsr.core.values import require_count
from linearsr.experts.partition import require_boundaries
from linearsr.experts.routing import TimeRouter

Rule = Callable[[Tensor], Tensor]
"""rule(t float64 [n] in 0..1) -> whole numbers [n], each the expert of its time"""

TRIED = 1025
"""Equally spaced times at which a rule is held to its promise: enough to see whatever is wider than 0.001."""


@ROUTERS.register_module()
class FunctionRouter(TimeRouter):
    """Expert function(t) serves t. The function is asked here and no more: where it switches becomes `boundaries`.

    function:    "pkg.mod:function", or the function itself: t float64 [n] -> whole numbers [n] in 0..K−1, 0 at t = 0 and K − 1
                 at t = 1, never a lower one for a noisier time, none left out. Raises PluginLoadError if it does not load,
                 ConfigError if it answers otherwise
    num_experts: K ≥ 1
    """

    def __init__(self, function: str | Rule, num_experts: int):
        name = f"router.function {function!r}"
        rule = load_named(function, name, "a function of t") if isinstance(function, str) else function
        boundaries = find_switches(rule, require_count(num_experts, "router.num_experts"), name)
        super().__init__(require_boundaries(boundaries, f"{name} leaves an expert without times: its switches"))


def find_switches(rule: Rule, num_experts: int, name: str = "the rule") -> tuple[float, ...]:
    """For each expert but the first, the least float64 time that the rule sends to it or above.

    name: the rule's, in messages. Raises ConfigError if it does not answer as FunctionRouter wants it.
    """
    served = _ask(rule, torch.linspace(0, 1, TRIED, dtype=torch.float64), num_experts, name)
    if (falls := (served.diff() < 0).nonzero()).numel():
        raise ConfigError(f"{name} sends a noisier time to a lower expert near t = {falls[0].item() / (TRIED - 1):.3f}")
    first, last = served[0].item(), served[-1].item()
    if (first, last) != (0, num_experts - 1):
        raise ConfigError(
            f"{name} answers {first} at t = 0 and {last} at t = 1; wanted 0 and {num_experts - 1}; change router.num_experts"
        )
    wanted = torch.arange(1, num_experts)
    low, high = torch.zeros(len(wanted), dtype=torch.float64), torch.ones(len(wanted), dtype=torch.float64)
    while bool((low.nextafter(high) < high).any()):  # until they are neighbours: rule(low) < wanted ≤ rule(high)
        middle = low.lerp(high, 0.5)
        reached = _ask(rule, middle, num_experts, name) >= wanted
        low, high = torch.where(reached, low, middle), torch.where(reached, middle, high)
    return tuple(high.tolist())


def _ask(rule: Rule, t: Tensor, num_experts: int, name: str) -> Tensor:
    """The rule's answer, which must be whole numbers [n] in 0..K−1."""
    served = rule(t)
    if not isinstance(served, Tensor) or served.shape != t.shape or served.is_floating_point() or served.is_complex():
        got = f"{served.dtype} {list(served.shape)}" if isinstance(served, Tensor) else type(served).__name__
        raise ConfigError(f"{name} answers t [{len(t)}] with {got}; wanted an integer tensor [{len(t)}]")
    if not bool(((served >= 0) & (served < num_experts)).all()):
        found = served.unique().tolist()
        raise ConfigError(f"{name} answers {found}; wanted experts 0..{num_experts - 1}; change router.num_experts")
    return served.long()
