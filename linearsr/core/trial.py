"""A module and what it is tried on, with the tolerances of its laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.core.randomness import generator
from linearsr.core.signatures import merge_offer

EXACT = 1e-10
"""Float64, summed in another order: many roundings of 1e-16 and a margin for what later layers amplify."""
SINGLE = 1e-4
"""Float32 (roundings of 6e-8) through a few layers."""
SIXTEEN = 2.0**-4
"""bfloat16 (roundings of 2⁻⁸) through a few layers; of the root mean squares, because a feature near zero may change sides."""


@dataclass(frozen=True)
class Trial:
    """A module and what it is tried on.

    build:  () -> module
    run:    (module, x, *others) -> output [B, …]; casts of the others, where they need any, are its business
    x:      float64 [B, …], B ≥ 2: cast to the type on trial; the module goes to its device
    others: tensors [B, …] that go with x picture by picture and are not cast (times, masks), on the same device
    """

    build: Callable[[], nn.Module]
    run: Callable[..., Tensor]
    x: Tensor
    others: tuple[Tensor, ...] = ()

    def module(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Module:
        """As built, then stirred: what starts at zero would hide everything behind it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.build()
        if not isinstance(module, nn.Module):
            raise AssertionError(f"it builds a {type(module).__name__}; wanted a torch.nn.Module, whose parameters are found")
        draw = generator(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=draw).to(parameter), alpha=0.05)
        return module.to(self.x.device, dtype).eval()

    @torch.no_grad()
    def output(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
        return self.run(self.module(dtype, seed), self.x.to(dtype), *self.others)

    @torch.no_grad()
    def answer(self, module: nn.Module, x: Tensor | None = None) -> Tensor:
        """Of a module that is there already; to x in place of the trial's, where it is given."""
        return self.run(module, self.x if x is None else x, *self.others)


def builder(component: Callable[..., Any], options: Mapping[str, Any] | None, offered: Mapping[str, Any]) -> Callable[[], Any]:
    """() -> component, from its own options and what the model supplies; each of these is passed if it is taken."""
    return lambda: component(**merge_offer(component, options or {}, offered))


def learn(
    compute: Callable[[Tensor], Tensor], module: nn.Module, x: Tensor, towards: Tensor | None = None
) -> dict[str, Tensor]:
    """The output of `compute`, and its gradients for x and every parameter of `module`, by name. They are detached.

    towards: what the gradients are taken along, as the output; a seeded draw where None
    """
    x = x.detach().clone().requires_grad_()
    names, leaves = zip(("x", x), *module.named_parameters(), strict=True)
    out = compute(x)
    along = torch.randn(out.shape, generator=generator(1), dtype=torch.float64) if towards is None else towards
    found = torch.autograd.grad(out, leaves, along.to(out), allow_unused=True, materialize_grads=True)
    return {"the output": out.detach()} | {f"d{name}": gradient for name, gradient in zip(names, found, strict=True)}
