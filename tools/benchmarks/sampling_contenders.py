"""Who takes part in the sampling benchmark, and what each is asked: an evaluation, a picture in 20 steps, a training step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from sana_pair import COUNTED, WORDS, Asked, Pair
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
    """compiled: ours block by block, diffusers' as a whole; graph: evaluations are CUDA graphs, ours of the whole model,
    diffusers' those of torch.compile; prepares: an evaluation prepares words and times, which else are known; counted: of the
    words."""

    ours: bool
    compiled: bool = False
    graph: bool = False
    prepares: bool = False
    counted: int = COUNTED


DIFFUSERS, OURS = "diffusers", "ours"
ROADS = {
    DIFFUSERS: Road(ours=False),
    "diffusers, compiled": Road(ours=False, compiled=True),
    "diffusers, compiled, reduce-overhead": Road(ours=False, compiled=True, graph=True),
    OURS: Road(ours=True),
    "ours, compiled": Road(ours=True, compiled=True),
    "ours, graph": Road(ours=True, graph=True),
    "ours, compiled, graph": Road(ours=True, compiled=True, graph=True),
}
_PREPARING = Road(ours=True, compiled=True, graph=True, prepares=True)
WITH_PREPARE = {
    "ours, prepare + evaluation": Road(ours=True, prepares=True),
    "ours, compiled, graph, prepare + evaluation": _PREPARING,
    f"ours, compiled, graph, prepare + evaluation, all {WORDS} words counted": replace(_PREPARING, counted=WORDS),
}
"""diffusers' model makes keys and values of the words in each evaluation, of padding too."""


def evaluations(pair: Pair, side: int) -> dict[str, Make]:
    return {
        name: partial(_evaluation, pair, road, pair.ask(side, road.counted)) for name, road in roads_on(pair.device).items()
    }


def evaluations_with_prepare(pair: Pair, side: int) -> dict[str, Make]:
    return {name: partial(_evaluation, pair, road, pair.ask(side, road.counted)) for name, road in WITH_PREPARE.items()}


def pictures(pair: Pair, side: int, decode: Callable[[Tensor], Any]) -> dict[str, Make]:
    return {name: partial(_picture, pair, road, pair.ask(side), decode) for name, road in roads_on(pair.device).items()}


def roads_on(device: torch.device) -> dict[str, Road]:
    """torch.compile's graphs need CUDA. Where there is none ours are not recorded, and run as without."""
    return {name: road for name, road in ROADS.items() if device.type == "cuda" or road.ours or not road.graph}


def fastest_of_diffusers(medians: Mapping[str, float]) -> str | None:
    """By name; None where no compiled one took part: eager alone is no measure of what diffusers can do."""
    theirs = {name: ROADS[name] for name in medians if name in ROADS and not ROADS[name].ours}
    return min(theirs, key=medians.__getitem__) if any(road.compiled for road in theirs.values()) else None


def training_steps(pair: Pair, side: int, batch: int) -> dict[str, Make]:
    """Forward and backward of a mean square, without an optimiser; all words are counted."""
    one = pair.ask(side, counted=pair.ask(side).guidance.tokens.shape[1])
    guidance = GuidanceTokens(one.guidance.tokens.expand(batch, -1, -1), one.guidance.mask.expand(batch, -1))
    asked = replace(one, z=one.z.expand(batch, -1, -1, -1).contiguous(), guidance=guidance)
    times = asked.times.expand(batch)
    forward_of_theirs, of_1000 = _of_diffusers(pair.theirs, asked), (1000 * times).float()

    def theirs() -> Tensor:
        return forward_of_theirs(asked.z, of_1000)

    def ours() -> Tensor:
        return pair.ours(asked.z, times, None, guidance)

    def step(model: torch.nn.Module, forward: Callable[[], Tensor]) -> None:
        try:
            forward().float().square().mean().backward()
        finally:  # the next one's memory counts its gradients, and what did not fit leaves none
            model.zero_grad()

    calls = {DIFFUSERS: partial(step, pair.theirs, theirs), OURS: partial(step, pair.ours, ours)}
    return {name: partial(_itself, call) for name, call in calls.items()}


def without_gradients(call: Callable[..., Any]) -> Callable[..., Any]:
    return torch.no_grad()(call)


def _itself(call: Call) -> Call:
    return call


def _evaluation(pair: Pair, road: Road, asked: Asked) -> Call:
    times, start = asked.times.cpu(), _start(pair, road, asked)
    if road.prepares:
        return without_gradients(lambda: start(times)(asked.z, times))
    velocity = without_gradients(start)(times)
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
        if not road.compiled:
            return partial(_their_velocity, model, asked)
        mode = "reduce-overhead" if road.graph else "default"
        start = partial(_their_velocity, torch.compile(model, mode=mode, **STATIC), asked)
        return partial(_kept_from_the_next, start) if road.graph else start
    ours: Any = copy.deepcopy(pair.ours)
    compile_blocks(ours, STATIC if road.compiled else False)
    ours.recorded = Evaluations() if road.graph else None
    return partial(_our_velocity, ours, asked)


def _our_velocity(model: Any, asked: Asked, times: Tensor) -> Velocity:
    prepared = model.prepare(None, asked.guidance, times)
    return lambda z, t: model(z.to(asked.z.dtype), t, None, None, prepared=prepared)


def _their_velocity(model: Any, asked: Asked, times: Tensor) -> Velocity:
    forward, there = _of_diffusers(model, asked), (1000 * times[:, None]).float().to(asked.z.device)
    of_1000 = dict(zip(times.tolist(), there, strict=True))
    return lambda z, t: forward(z.to(asked.z.dtype), of_1000[float(t[0])])


def _kept_from_the_next(start: Start, times: Tensor) -> Velocity:
    """torch.compile's graphs are told where an evaluation begins, and the next one writes to this one's memory."""
    velocity = start(times)

    def evaluate(z: Tensor, t: Tensor) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        return velocity(z, t).clone()

    return evaluate


def _of_diffusers(model: Any, asked: Asked) -> Callable[[Tensor, Tensor], Tensor]:
    """Of z [B, C, h, w] and its times, of 1000 [B]."""
    words, mask = asked.guidance.tokens, asked.guidance.mask.to(asked.z.dtype)
    return lambda z, of_1000: model(z, words, of_1000, encoder_attention_mask=mask, return_dict=False)[0]
