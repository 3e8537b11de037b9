"""What a piece of work costs, and how that grows: products, bytes, seconds, and the exponent of a power law."""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

Work = Callable[[], object]

REPEATS = 9
"""Of a timing; the median of nine is not moved by four interruptions."""


def _product(left: Sequence[int], right: Sequence[int], **_told: object) -> int:
    """Of the shapes [..., m, k] and [..., k, n], or of a vector [k]; the counter tells keywords that change nothing."""
    return 2 * math.prod(left) * (right[-1] if len(right) > 1 else 1)


def _added_product(_to: Sequence[int], left: Sequence[int], right: Sequence[int], **_told: object) -> int:
    return _product(left, right)


aten = torch.ops.aten
UNCOUNTED: dict[Any, Callable[..., int]] = {
    **dict.fromkeys((aten.mv, aten.dot, aten.vdot), _product),
    **dict.fromkeys((aten.addmm_, aten.baddbmm_, aten.addbmm, aten.addbmm_, aten.addmv, aten.addmv_), _added_product),
    aten._addmm_activation: _added_product,
}
"""Products that torch's counter takes for free (2.6 to 2.13). With `out=` an operation counts as without."""


def flops(work: Work) -> int:
    """Multiply–adds count two, as torch's FlopCounterMode counts them: products and convolutions, backward too.

    Products of matrices and vectors that it misses are added (UNCOUNTED). torch's fused attention is sent down its plain
    road, because the counter does not know every kernel of the other. Kernels that are not torch's count nothing.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
        work()
    return counter.get_total_flops()


def peak_bytes(work: Work, device: torch.device | str = "cpu") -> int:
    """The most that torch's allocator held at one time beyond what it held before; the same number every time.

    On a CPU it comes from the allocator's own events, which the profiler records: temporaries inside kernels are among
    them, which hooks on operators (TorchDispatchMode) do not see. On CUDA it is torch.cuda.max_memory_allocated.
    """
    if torch.device(device).type == "cuda":
        return _peak_of_cuda(work, torch.device(device))
    with _no_collection(), _quiet_profiler(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    results = profiler.profiler.kineto_results if profiler.profiler else None
    if results is None:
        raise RuntimeError("torch's profiler recorded nothing; is another one running?")
    events = [event for event in results.events() if event.name() == "[memory]"]
    live, peak = 0, 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def _peak_of_cuda(work: Work, device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's collector runs when it likes; without it, what is freed and when is the work's own doing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _quiet_profiler() -> Iterator[None]:
    """Some builds of torch's profiler print a line on every start and stop, unless this is set when it first starts."""
    key, before = "KINETO_LOG_LEVEL", os.environ.get("KINETO_LOG_LEVEL")
    os.environ.setdefault(key, "6")  # above all that it prints
    try:
        yield
    finally:
        if before is None:
            del os.environ[key]


def cpu_seconds(work: Work, repeats: int = REPEATS) -> float:
    """Median time of this process's processor for one call on one thread, after one call that is not counted."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work()
        return statistics.median(_timed(work) for _ in range(repeats))
    finally:
        torch.set_num_threads(threads)


def _timed(work: Work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """p of cost ≈ b·size^p by least squares on logarithms; 0 where the costs do not grow at all.

    Sums and maxima of constants and linear parts never give more than 1: right for a peak, which is the largest of several
    moments. Constants make it less, so sizes must be large enough for what grows to be most of the cost.
    """
    if min(costs) <= 0 or min(costs) == max(costs):
        return 0.0
    logs = [math.log(size) for size in sizes]
    return statistics.linear_regression(logs, [math.log(cost) for cost in costs]).slope


def growth_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """p of cost = a + b·size^p, for costs that are sums. sizes grow by one factor: then increments grow as size^p, too.

    The constant part is so removed, however large, and hides nothing. 0 where the costs do not grow.
    """
    increments = [after - before for before, after in pairwise(costs)]
    if min(increments) <= 0:
        return exponent(sizes, costs)
    return exponent(sizes[1:], increments)
