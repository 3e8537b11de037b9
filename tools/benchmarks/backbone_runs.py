"""What the backbone benchmark runs: times and peaks over the sizes, and where our own time goes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from measuring import LayerClock, Peak, measure_peak, stopwatch, time_in_turn
from sana_pair import NARROW, SANA_600M, WORDS, Pair
from torch import Tensor

from linearsr.core.costs import peak_bytes

DTYPES = (torch.float32, torch.bfloat16)
ALL_COUNTED = f", all {WORDS} words counted"
"""Of a contender's name, for which no word is padding."""


@dataclass(frozen=True)
class Size:
    """side: rows and columns of tokens; timed: False where only memory is measured, because a step takes long."""

    depth: int
    side: int
    timed: bool = True


@dataclass(frozen=True)
class Plan:
    """config: diffusers' keys; sizes: the first one is taken apart by layers."""

    config: Mapping[str, Any]
    sizes: tuple[Size, ...]


FULL = Plan(SANA_600M, (Size(4, 32), Size(2, 64), Size(2, 128, timed=False)))
"""N = 1024, 4096 and 16384; a block's peak does not depend on how many there are, so two show it."""
QUICK = Plan(NARROW, (Size(2, 8), Size(1, 16, timed=False)))


@torch.inference_mode()
def measure(plan: Plan, device: torch.device, rounds: int, budget: float) -> dict[str, Any]:
    """Plain data."""
    peak = measure_peak(device, DTYPES, stopwatch(device))
    rows: list[dict[str, Any]] = []
    layers: list[dict[str, Any]] = []
    for dtype in DTYPES:
        for number, size in enumerate(plan.sizes):
            pair = Pair(plan.config, size.depth, dtype, device)
            rows += _rows(pair, size, rounds, budget)
            if number == 0:
                layers += _layers(pair, size, rounds, peak)
    return {"device": device.type, "peak_flops": dict(peak.flops), "peak_bytes": peak.bytes, "rows": rows, "layers": layers}


def _rows(pair: Pair, size: Size, rounds: int, budget: float) -> list[dict[str, Any]]:
    calls = _calls(pair, size)
    place = {"dtype": _name(pair.dtype), "depth": size.depth, "tokens": size.side**2}
    times = time_in_turn(calls, pair.device, rounds=rounds, budget=budget) if size.timed else {}
    outputs = {name: call().double() for name, call in calls.items()}
    found = []
    for name, call in calls.items():
        peer = "diffusers" + (ALL_COUNTED if name.endswith(ALL_COUNTED) else "")
        difference = ((outputs[name] - outputs[peer]).abs().max() / outputs[peer].abs().max()).item()
        row = {**place, "contender": name, "peak_bytes": peak_bytes(call, pair.device), "difference": difference}
        if name in times:
            row |= times[name].figures() | {"of_diffusers": times[name].times_faster_than(times[peer])}
        found.append(row)
    return found


def _calls(pair: Pair, size: Size) -> dict[str, Callable[[], Tensor]]:
    """With padded words, and where time is measured also with words that are all counted."""
    calls = pair.calls(pair.ask(size.side))
    if size.timed:
        for name, call in pair.calls(pair.ask(size.side, counted=WORDS)).items():
            if name != "ours, first step":
                calls[name + ALL_COUNTED] = call
    return calls


def _layers(pair: Pair, size: Size, rounds: int, peak: Peak) -> list[dict[str, Any]]:
    step = pair.calls(pair.ask(size.side))["ours"]
    clock = LayerClock(pair.parts(size.side**2), pair.modules(), pair.device)
    times = [clock.own_times(step) for _ in range(rounds)]
    medians = {path: statistics.median(one[path] for one in times) for path in times[0]}
    dtype, whole = _name(pair.dtype), sum(medians.values())
    return [
        {
            "dtype": dtype, "tokens": size.side**2, "depth": size.depth, "part": part.name, "median_ms": 1000 * medians[path],
            "of_time": medians[path] / whole, "flops": part.work.flops, "bytes": part.work.bytes,
            **peak.shares(part.work, medians[path], dtype),
        }
        for path, part in clock.called(medians).items()
    ]  # fmt: skip


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
