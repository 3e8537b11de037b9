"""Who takes part in the sampling benchmark, and what each is asked: an evaluation, a picture in 20 steps, a training step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from sana_pair import Asked, Pair
from torch import Tensor

from linearsr.core.backbones.cuda_graphs import Evaluations
from linearsr.core.models.compiling import compile_blocks
from linearsr.core.registries import SOLVERS, TIME_GRIDS
from linearsr.core.structures import GuidanceTokens

if TYPE_CHECKING:
    from linearsr.core.protocols import Solver, TimeGrid, Velocity

    Start = Callable[[Tensor], Velocity]
    """times [T] on the CPU -> the velocity at them, for one picture: what it knows of the words is made here."""

Call = Callable[[], Any]
Make = Callable[[], Call]
"""Copies, compiles or prepares what the call needs."""
STEPS = 20
STATIC = {"dynamic": False}
"""One size is compiled for itself."""


@dataclass(frozen=True)
class Road:
    """compiled: ours block by block, diffusers' as a whole; graph: evaluations are CUDA graphs."""

    ours: bool
    compiled: bool = False
    graph: bool = False


DIFFUSERS, COMPILED, OURS, FASTEST = "diffusers", "diffusers, compiled", "ours", "ours, compiled, graph"
ROADS = {
    DIFFUSERS: Road(ours=False),
    COMPILED: Road(ours=False, compiled=True),
    OURS: Road(ours=True),
    "ours, compiled": Road(ours=True, compiled=True),
    "ours, graph": Road(ours=True, graph=True),
    FASTEST: Road(ours=True, compiled=True, graph=True),
}


def evaluations(pair: Pair, side: int) -> dict[str, Make]:
    return {name: partial(_evaluation, pair, road, pair.ask(side)) for name, road in ROADS.items()}


def pictures(pair: Pair, side: int, decode: Callable[[Tensor], Any]) -> dict[str, Make]:
    return {name: partial(_picture, pair, road, pair.ask(side), decode) for name, road in ROADS.items()}


def training_steps(pair: Pair, side: int, batch: int) -> dict[str, Make]:
    """Forward and backward of a mean square, without an optimiser; all words are counted."""
    one = pair.ask(side, counted=pair.ask(side).guidance.tokens.shape[1])
    guidance = GuidanceTokens(one.guidance.tokens.expand(batch, -1, -1), one.guidance.mask.expand(batch, -1))
    asked = replace(one, z=one.z.expand(batch, -1, -1, -1).contiguous(), guidance=guidance)
    times = asked.times.expand(batch)

    def theirs() -> Tensor:
        return _of_diffusers(pair.theirs, asked, (times * 1000).float())(asked.z)

    def ours() -> Tensor:
        return pair.ours(asked.z, times, None, guidance)

    def step(model: torch.nn.Module, forward: Callable[[], Tensor]) -> None:
        forward().float().square().mean().backward()
        model.zero_grad()  # so that the next one's memory counts its gradients

    calls = {DIFFUSERS: partial(step, pair.theirs, theirs), OURS: partial(step, pair.ours, ours)}
    return {name: partial(_itself, call) for name, call in calls.items()}


def without_gradients(call: Callable[..., Any]) -> Callable[..., Any]:
    return torch.no_grad()(call)


def _itself(call: Call) -> Call:
    return call


def _evaluation(pair: Pair, road: Road, asked: Asked) -> Call:
    times = asked.times.cpu()
    velocity = without_gradients(_start(pair, road, asked))(times)
    return without_gradients(lambda: velocity(asked.z, times))


def _picture(pair: Pair, road: Road, asked: Asked, decode: Callable[[Tensor], Any]) -> Call:
    """As our configs sample: the latent in float32, DPM-Solver++ of order 2 on a grid shifted by 3."""
    grid: TimeGrid = TIME_GRIDS.build({"type": "ShiftedGrid", "shift": 3.0})
    solver: Solver = SOLVERS.build({"type": "DPMSolver", "order": 2})
    start, times, noise = _start(pair, road, asked), grid.times(STEPS), asked.z.float()
    return without_gradients(lambda: decode(solver.solve(start(times[:-1]), noise, times).to(pair.dtype)))


def _start(pair: Pair, road: Road, asked: Asked) -> Start:
    if not road.ours:
        model = copy.deepcopy(pair.theirs)
        return partial(_their_velocity, torch.compile(model, dynamic=False) if road.compiled else model, asked)
    ours: Any = copy.deepcopy(pair.ours)
    compile_blocks(ours, STATIC if road.compiled else False)
    ours.recorded = Evaluations() if road.graph else None
    return partial(_our_velocity, ours, asked)


def _our_velocity(model: Any, asked: Asked, times: Tensor) -> Velocity:
    prepared = model.prepare(None, asked.guidance, times)
    return lambda z, t: model(z.to(asked.z.dtype), t, None, None, prepared=prepared)


def _their_velocity(model: Any, asked: Asked, times: Tensor) -> Velocity:
    steps = {float(time): (1000 * time[None]).float().to(asked.z.device) for time in times}
    return lambda z, t: _of_diffusers(model, asked, steps[float(t[0])])(z.to(asked.z.dtype))


def _of_diffusers(model: Any, asked: Asked, step: Tensor) -> Callable[[Tensor], Tensor]:
    words, mask = asked.guidance.tokens, asked.guidance.mask.to(asked.z.dtype)
    return lambda z: model(z, words, step, encoder_attention_mask=mask, return_dict=False)[0]
