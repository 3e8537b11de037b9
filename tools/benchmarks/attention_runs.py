"""What the attention benchmark runs: a grid of sizes, each with every contender."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from contenders import OURS, Contender, contenders
from measuring import Peak, Timing, Work, measure_peak, stopwatch, time_in_turn

from linearsr.core.costs import peak_bytes

HEAD_WIDTH = 32
SEED = 0
DTYPES = (torch.float32, torch.bfloat16)
Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """heads: numbers of heads of 32; forward, both: numbers of tokens for the forward pass, and for forward and backward."""

    heads: tuple[int, ...]
    forward: Tokens
    both: Tokens


FULL = Grid(heads=(36, 8), forward=(64, 256, 1024, 4096, 16384), both=(1024, 16384))
"""36 heads: Sana 0.6B; 8: small enough for softmax attention at 16384 tokens."""
QUICK = Grid(heads=(2,), forward=(64, 128), both=(64,))


def measure(grid: Grid, device: torch.device, rounds: int, budget: float) -> dict[str, Any]:
    """Plain data: peaks of the machine and a row for every contender at every size."""
    peak = measure_peak(device, DTYPES, stopwatch(device))
    rows = []
    for heads in grid.heads:
        for dtype in DTYPES:
            rows += _forward(Series(heads, dtype, device, rounds, budget), grid.forward, peak)
            rows += _both(Series(heads, dtype, device, rounds, budget), grid.both)
    return {"device": device.type, "peak_flops": dict(peak.flops), "peak_bytes": peak.bytes, "rows": rows}


@dataclass(frozen=True)
class Series:
    """What stays the same while the tokens grow."""

    heads: int
    dtype: torch.dtype
    device: torch.device
    rounds: int
    budget: float

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    def normal(self, tokens: int, parts: int) -> torch.Tensor:
        """[1, N, parts·C]"""
        draw = torch.Generator().manual_seed(SEED)
        return torch.randn(1, tokens, parts * self.heads * HEAD_WIDTH, generator=draw).to(self.device, self.dtype)

    def times(self, jobs: Mapping[tuple[int, str], Callable[[], object]]) -> dict[tuple[int, str], Timing]:
        return time_in_turn(jobs, self.device, rounds=self.rounds, budget=self.budget)

    def row(self, direction: str, tokens: int, name: str, times: dict[tuple[int, str], Timing]) -> dict[str, Any]:
        own, ours = times[tokens, name], times[tokens, OURS.name]
        return {
            "heads": self.heads,
            "head_width": HEAD_WIDTH,
            "dtype": self.dtype_name,
            "direction": direction,
            "tokens": tokens,
            "contender": name,
            **own.figures(),
            "times_ours": ours.times_faster_than(own),
        }


def _forward(series: Series, sizes: Tokens, peak: Peak) -> list[dict[str, Any]]:
    jobs, rows = {}, []
    for tokens in sizes:
        qkv = series.normal(tokens, 3)
        for contender in contenders(series.device):
            jobs[tokens, contender.name] = _call(contender, contender.start(qkv, series.heads), series.heads)
    with torch.inference_mode():
        times = series.times(jobs)
        for tokens in sizes:
            ours = jobs[tokens, OURS.name]().double()
            for contender in contenders(series.device):
                job = jobs[tokens, contender.name]
                seconds = times[tokens, contender.name].median
                shares = peak.shares(work(contender, series.heads, tokens, series.dtype), seconds, series.dtype_name)
                figures = {"peak_bytes": peak_bytes(job, series.device), **shares}
                if contender.linear:
                    figures["difference"] = ((job().double() - ours).abs().max() / ours.abs().max()).item()
                rows.append(series.row("forward", tokens, contender.name, times) | figures)
    return rows


def _both(series: Series, sizes: Tokens) -> list[dict[str, Any]]:
    """The linear ones: softmax attention backward at 16384 tokens would take most of the benchmark's time."""
    jobs, linear = {}, [contender for contender in contenders(series.device) if contender.linear]
    for tokens in sizes:
        qkv, towards = series.normal(tokens, 3), series.normal(tokens, 1)
        for contender in linear:
            leaves = tuple(part.clone().requires_grad_() for part in contender.start(qkv, series.heads))
            jobs[tokens, contender.name] = _gradients(_call(contender, leaves, series.heads), leaves, towards)
    times = series.times(jobs)
    return [
        series.row("forward and backward", tokens, contender.name, times)
        | {"peak_bytes": peak_bytes(jobs[tokens, contender.name], series.device)}
        for tokens in sizes
        for contender in linear
    ]


def _call(contender: Contender, projected: tuple[torch.Tensor, ...], heads: int) -> Callable[[], torch.Tensor]:
    return lambda: contender.mix(projected, heads)


def _gradients(
    forward: Callable[[], torch.Tensor], leaves: tuple[torch.Tensor, ...], towards: torch.Tensor
) -> Callable[[], object]:
    return lambda: torch.autograd.grad(forward(), leaves, towards)


def work(contender: Contender, heads: int, tokens: int, dtype: torch.dtype) -> Work:
    """Of a forward pass for one picture.

    Linear: each token gives to and takes from a state of D rows and D + 1 columns, the last being the normaliser's, with a
    multiplication and an addition for each entry. Softmax: scores and values, each N·N·D. Bytes: q, k, v and the output.
    """
    width = heads * HEAD_WIDTH
    flops = 4 * tokens * width * (HEAD_WIDTH + 1) if contender.linear else 4 * tokens**2 * width
    return Work(flops, 4 * tokens * width * dtype.itemsize)
