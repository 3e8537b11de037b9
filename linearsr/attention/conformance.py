"""Does an attention keep its contract? `check_attention(Mine).require()` raises with the laws broken.

The class may be anybody's and needs nothing of linearsr: see `linearsr.core.protocols.Attention`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from linearsr.core.conformance import ConformanceReport, LawSkippedError, close
from linearsr.core.module_laws import EXACT, Trial, builder, hold_module_laws
from linearsr.core.randomness import generator

Grid = tuple[int, int]

FLAGS = ("linear", "permutation_equivariant", "additive")
GRIDS: tuple[Grid, ...] = ((1, 1), (1, 7), (5, 3), (13, 41))
"""One token, a prime number, taller than wide, wider than tall with more tokens than any likely chunk."""


def check_attention(
    cls: Callable[..., Any], options: Mapping[str, Any] | None = None, *, dim: int = 16, num_heads: int = 2, seed: int = 0
) -> ConformanceReport:
    """Shapes, types, gradients, independence of the batch, the slow twin, and whatever the class declares.

    cls:            built as the denoiser builds it, `cls(dim=…, num_heads=…, **options)`; each of the two is passed if taken
    options:        keys of its own, as in a config
    dim, num_heads: width of a token (at least 2) and number of heads
    seed:           of tokens and weights
    """
    report = ConformanceReport(getattr(cls, "__name__", str(cls)))
    build = builder(cls, options, {"dim": dim, "num_heads": num_heads})
    trial = Trial(build, lambda module, x: module(x, (5, 3)), _tokens((5, 3), dim, seed))
    if not hold_module_laws(report, trial):
        return report
    attention: Any = trial.module(seed=seed)
    report.hold(f"{', '.join(FLAGS)} are declared, each True or False", lambda: _flags(attention))
    for grid in GRIDS:
        x = _tokens(grid, dim, seed)
        where = f"on {grid[0]}×{grid[1]} tokens"
        report.hold(f"tokens in, as many tokens out, {where}", partial(_shape, attention, x, grid))
        report.hold(f"forward is forward_dense {where}", partial(_dense, attention, x, grid))
        report.hold(f"gradients are those of forward_dense {where}", partial(_dense_gradients, attention, x, grid))
    x = _tokens((6, 5), dim, seed)
    report.hold("declared permutation_equivariant: moved tokens give moved outputs", lambda: _permuted(attention, x, (6, 5)))
    report.hold("declared additive: the sum of the tiles' states serves every tile", lambda: _tiled(attention, x, (6, 5)))
    report.hold("declared additive: torch's module.apply(function) still works", lambda: _torch_apply(attention))
    report.hold("declared linear: twice the tokens, twice the products", lambda: _cost(attention, dim, seed))
    report.hold("large float16 tokens do not overflow", lambda: _sixteen_bits(trial, dim, seed))
    return report


def _tokens(grid: Grid, dim: int, seed: int) -> Tensor:
    return torch.randn(3, grid[0] * grid[1], dim, generator=generator(seed), dtype=torch.float64)


def _flags(attention: nn.Module) -> str:
    for flag in FLAGS:
        if not isinstance(value := getattr(attention, flag, None), bool):
            raise AssertionError(f"{flag} is {value!r}; wanted a class attribute that is True or False")
    return ", ".join(f"{flag}={getattr(attention, flag)}" for flag in FLAGS)


def _declared(attention: nn.Module, flag: str) -> None:
    if getattr(attention, flag, None) is not True:
        raise LawSkippedError(f"{flag} is not declared")


def _shape(attention: nn.Module, x: Tensor, grid: Grid) -> None:
    with torch.no_grad():
        out = attention(x, grid)
    if out.shape != x.shape or out.dtype != x.dtype or not bool(out.isfinite().all()):
        raise AssertionError(
            f"{x.dtype} {list(x.shape)} became {out.dtype} {list(out.shape)}, finite: {bool(out.isfinite().all())}"
        )


def _dense_form(attention: Any) -> Callable[[Tensor, Grid], Tensor]:
    if not hasattr(attention, "forward_dense"):
        raise LawSkippedError("there is no forward_dense(x, grid)")
    return attention.forward_dense


def _dense(attention: nn.Module, x: Tensor, grid: Grid) -> str:
    dense = _dense_form(attention)
    with torch.no_grad():
        return close("output", attention(x, grid), dense(x, grid), EXACT)


def _dense_gradients(attention: nn.Module, x: Tensor, grid: Grid) -> str:
    names, parameters = zip(("x", x.clone().requires_grad_()), *attention.named_parameters(), strict=True)
    towards = torch.randn(x.shape, generator=generator(1), dtype=x.dtype)

    def gradients(function: Callable[[Tensor, Grid], Tensor]) -> tuple[Tensor, ...]:
        loss = (function(parameters[0], grid) * towards).sum()
        return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)

    wanted = gradients(_dense_form(attention))
    largest = max(gradient.abs().max().item() for gradient in wanted)
    for name, got, want in zip(names, gradients(attention), wanted, strict=True):
        # of the largest of all gradients: a softmax over one token leaves its keys nothing but rounding
        if not (worst := (got - want).abs().max().item()) <= EXACT * largest:
            raise AssertionError(f"d{name} differs by {worst:.2e} where gradients reach {largest:.2e}")
    return f"{len(names)} gradients within {EXACT:.0e}"


def _permuted(attention: nn.Module, x: Tensor, grid: Grid) -> str:
    _declared(attention, "permutation_equivariant")
    order = torch.randperm(x.shape[1], generator=generator(2))
    with torch.no_grad():
        out = attention(x, grid)
        moved = close("moved", attention(x[:, order], grid), out[:, order], EXACT)
        return f"{moved}; {close('turned grid', attention(x, grid[::-1]), out, EXACT)}"


def _tiled(attention: Any, x: Tensor, grid: Grid) -> str:
    _declared(attention, "additive")
    if attention.halo:
        raise LawSkippedError(f"halo is {attention.halo}: only tiles that touch, but do not overlap, are tried here")
    picture = x.unflatten(1, grid)
    with torch.no_grad():
        whole = attention(x, grid).unflatten(1, grid)
        figures = []
        for axis, sizes in ((1, [1, 3, 2]), (2, [4, 1])):
            tiles = [(tile.flatten(1, 2), (tile.shape[1], tile.shape[2])) for tile in picture.split(sizes, axis)]
            first, *rest = [attention.state(*tile) for tile in reversed(tiles)]
            total = sum(rest, start=first)
            joined = torch.cat([attention.apply(tile, total, size).unflatten(1, size) for tile, size in tiles], axis)
            figures.append(close(f"{len(tiles)} tiles", joined, whole, EXACT))
    return ", ".join(figures)


def _torch_apply(attention: Any) -> None:
    """A method of that name hides torch's own, by which a whole model is initialised, converted and sharded."""
    _declared(attention, "additive")
    seen: list[nn.Module] = []
    attention.apply(seen.append)
    if attention not in seen:
        raise AssertionError("apply(function) does not call the function; hand what is no Tensor on to super().apply")


def _cost(attention: nn.Module, dim: int, seed: int) -> str:
    _declared(attention, "linear")

    def products(tokens: int) -> int:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            attention(_tokens((1, tokens), dim, seed), (1, tokens))
        return counter.get_total_flops()

    few, many = products(1024), products(2048)
    if many > 2.1 * few:  # a constant share makes it less than 2, never more
        raise AssertionError(f"1024 tokens take {few} multiply–adds and 2048 take {many}, {many / few:.2f} times as many")
    return f"{many / max(few, 1):.2f} times as many"


def _sixteen_bits(trial: Trial, dim: int, seed: int) -> str:
    """Unnormalised sums leave float16 long before their quotient does; Sana's first trainings ended so."""
    grid = (32, 32)
    x = 16 * _tokens(grid, dim, seed)
    module = trial.module(torch.float16)
    with torch.no_grad():
        out = module(x.half(), grid)
    if not bool(out.isfinite().all()):
        raise AssertionError(f"{(~out.isfinite()).double().mean():.0%} of the outputs are not finite; sum in float32")
    return f"outputs reach {out.abs().max():.3g}"
