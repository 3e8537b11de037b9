"""Contenders take turns in one process and are compared round by round, so that a busy machine disturbs all of them alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

Key = TypeVar("Key")
Job = Callable[[], object]
Stopwatch = Callable[[Job, int], float]
"""(job, calls) -> seconds for one call."""

SPELL = 0.01
"""Seconds: a job that is done sooner is called several times in a round; a clock's own cost is below a thousandth of it."""
CLOCK = 1e-6
"""Seconds: less than this is no time that a clock can tell."""
LEAST = 3
"""Rounds that every contender runs, however slow: the fewest that have a median."""
FLUSH_BYTES = 2**28
"""Written before each call on a GPU; more than its second-level cache (50 MB on an H100 or H200)."""


@dataclass(frozen=True)
class Timing:
    """rounds: seconds for one call, in the order in which they were run; not_captured: why calls on a GPU were launched one by
    one, empty where they were not or where there is no GPU."""

    rounds: tuple[float, ...]
    not_captured: str = ""

    def figures(self) -> dict[str, Any]:
        """Plain data, in milliseconds."""
        row: dict[str, Any] = {
            "median_ms": 1000 * self.median,
            "minimum_ms": 1000 * self.minimum,
            "rounds_ms": [1000 * seconds for seconds in self.rounds],
        }
        return row | {"not_captured": self.not_captured} if self.not_captured else row

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def minimum(self) -> float:
        return min(self.rounds)

    def times_faster_than(self, other: Timing) -> float:
        """Median over the rounds that both ran of other's time to this one's."""
        return statistics.median(theirs / ours for ours, theirs in zip(self.rounds, other.rounds, strict=False))


def interleave(jobs: Mapping[Key, Job], watch: Stopwatch, *, rounds: int, budget: float = math.inf) -> dict[Key, Timing]:
    """Every round times each job once, in the order given, after a call of each that is not counted.

    budget: seconds for one job; it leaves after the round that spends them, but not before LEAST rounds.
    """
    calls = {key: _calls(job, watch) for key, job in jobs.items()}
    times: dict[Key, list[float]] = {key: [] for key in jobs}
    for _ in range(rounds):
        for key, job in jobs.items():
            if len(times[key]) < LEAST or sum(times[key]) * calls[key] < budget:
                times[key].append(watch(job, calls[key]))
    return {key: Timing(tuple(values)) for key, values in times.items()}


def _calls(job: Job, watch: Stopwatch) -> int:
    """How many fill a SPELL; the first call, in which things are allocated, tuned or compiled, tells that only of slow jobs."""
    first = watch(job, 1)
    return 1 if first > 10 * SPELL else max(1, round(SPELL / max(watch(job, 1), CLOCK)))


def exponents(small: Timing, large: Timing, growth: float) -> list[float]:
    """Slope of log time over log tokens, round by round. growth: how many times as many tokens `large` had."""
    return [math.log(b / a) / math.log(growth) for a, b in zip(small.rounds, large.rounds, strict=False)]


def crossover(tokens: Sequence[int], ratios: Sequence[float]) -> str:
    """From which number of tokens on the ratio is above 1, interpolated in the logarithms. tokens: ascending."""
    if ratios[-1] <= 1:
        return f"beyond {tokens[-1]}"
    last = max((i for i, ratio in enumerate(ratios) if ratio <= 1), default=-1)
    if last < 0:
        return f"below {tokens[0]}"
    (n0, n1), (r0, r1) = (map(math.log, values[last : last + 2]) for values in (tokens, ratios))
    return f"{math.exp(n0 - r0 * (n1 - n0) / (r1 - r0)):.0f}"


def stopwatch(device: torch.device) -> Stopwatch:
    """CPU time of this process, or a GPU's own events with its cache flushed before each call."""
    return _cpu_seconds if device.type == "cpu" else _CudaSeconds(device)


def _cpu_seconds(job: Job, calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        job()
    return (time.process_time() - start) / calls


class _CudaSeconds:
    def __init__(self, device: torch.device):
        self.cache = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device=device)

    def __call__(self, job: Job, calls: int) -> float:
        spans = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(calls)]
        for start, end in spans:
            self.cache.zero_()
            start.record()
            job()
            end.record()
        torch.cuda.synchronize()
        return statistics.median(start.elapsed_time(end) for start, end in spans) / 1000
