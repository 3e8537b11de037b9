"""What a piece of work costs, and how that grows: products, bytes, seconds, and the exponent of a power law."""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode, flop_registry

Work = Callable[[], object]

REPEATS = 9
"""Of a timing; the median of nine is not moved by four interruptions."""


def _product(left: Sequence[int], right: Sequence[int], **_told: object) -> int:
    """Of the shapes [..., m, k] and [..., k, n], or of a vector [k]; the counter tells keywords that change nothing."""
    return 2 * math.prod(left) * (right[-1] if len(right) > 1 else 1)


def _added_product(_to: Sequence[int], left: Sequence[int], right: Sequence[int], **_told: object) -> int:
    return _product(left, right)


def _convolution_backward(
    _grad: Sequence[int], x: Sequence[int], weight: Sequence[int], _bias: object, _stride: object, _padding: object,
    _dilation: object, transposed: bool, _more: object, _groups: int, wanted: Sequence[bool], **_told: object,
) -> int:  # fmt: skip
    """As many as forward for each of the two gradients: of the input, and of the weight [out, in / groups, …]."""
    places = math.prod((x if transposed else _grad)[2:])
    return 2 * x[0] * places * math.prod(weight) * sum(wanted[:2])


aten = torch.ops.aten
UNCOUNTED: dict[Any, Callable[..., int]] = {
    **dict.fromkeys((aten.mv, aten.dot, aten.vdot), _product),
    **dict.fromkeys((aten.addmm_, aten.baddbmm_, aten.addbmm, aten.addbmm_, aten.addmv, aten.addmv_), _added_product),
    aten._addmm_activation: _added_product,
    aten.convolution_backward: _convolution_backward,
}
"""Products that torch's counter takes for free (2.6 to 2.13), and convolutions' way back: it takes a depthwise one's gradient
of the weight for a dense one's. With `out=` an operation counts as without."""


def _attention(query: Sequence[int], key: Sequence[int], value: Sequence[int]) -> int:
    """[B, H, N, D], [B, H, L, D], [B, H, L, E]: both products."""
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _of_fused_attention(query: Tensor, key: Tensor, value: Tensor, *_told: object, **_more: object) -> int:
    return _attention(query.shape, key.shape, value.shape)


def _of_fused_attention_backward(
    _grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_told: object, **_more: object
) -> int:
    return 2 * _attention(query.shape, key.shape, value.shape)  # what the plain road does; the scores are not counted again


FUSED: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _of_fused_attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _of_fused_attention_backward,
}
"""A CPU's fused attention, of which torch's counter knows nothing."""


def flops_of(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> int:
    """Of one operation of torch's (an overload, as dispatch modes see it), as `flops` counts it."""
    packet = operation.overloadpacket
    if packet in FUSED:
        return FUSED[packet](*args, **kwargs)
    if packet in UNCOUNTED:
        given = {key: value for key, value in kwargs.items() if key != "out"}
        return UNCOUNTED[packet](*(getattr(arg, "shape", arg) for arg in args), **given)
    count = flop_registry.get(packet)
    return 0 if count is None else int(count(*args, **kwargs, out_val=out))


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
