"""Does a router keep its contract? `check_router(mine).require()` raises with the laws broken."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from linearsr.core.conformance import ConformanceReport, LawSkippedError, refused
from linearsr.core.protocols import Router


def check_router(router: Router, features: Tensor | None = None) -> ConformanceReport:
    """Total, deterministic, one expert per time; for a router by time alone also monotone and cut at its boundaries.

    features: what a router that needs more than t gets, [1, …], the same for every time
    """
    report = ConformanceReport(type(router).__name__)
    num_experts = len(router.boundaries) + 1
    edges = torch.tensor([0.0, *router.boundaries, 1.0], dtype=torch.float64)
    t = torch.cat([edges, torch.linspace(0, 1, 1001, dtype=torch.float64)]).sort().values

    def route(times: Tensor) -> Tensor:
        return router.route(times, None if features is None else features.expand(len(times), *features.shape[1:]))

    def total() -> str:
        served = route(t)
        if served.dtype != torch.int64 or served.shape != t.shape:
            raise AssertionError(f"route(t [{len(t)}]) is {served.dtype} {list(served.shape)}; wanted int64 [{len(t)}]")
        if not bool(((served >= 0) & (served < num_experts)).all()):
            raise AssertionError(f"experts {served.min()}…{served.max()}; wanted 0..{num_experts - 1}")
        return f"{len(served.unique())} of {num_experts} experts used"

    def same_alone() -> None:
        together = route(t)
        if not torch.equal(together, route(t)):
            raise AssertionError("the same times went to other experts")
        alone = torch.cat([route(one) for one in t[::97].split(1)])
        if not torch.equal(together.flip(0), route(t.flip(0))) or not torch.equal(together[::97], alone):
            raise AssertionError("the expert of a time depends on the other times of the batch")

    def cut() -> None:
        _time_only(router)
        for k, boundary in enumerate(router.boundaries):
            below = math.nextafter(boundary, 0)
            got = route(torch.tensor([below, boundary], dtype=torch.float64)).tolist()
            if got != [k, k + 1]:
                raise AssertionError(f"just below and on the boundary {boundary}: experts {got}, wanted {[k, k + 1]}")

    def monotone() -> str:
        _time_only(router)
        switches = route(t).diff()
        if bool((switches < 0).any()):
            raise AssertionError(f"a noisier time went to a lower expert at t = {t[1:][switches < 0].tolist()}")
        return f"{int((switches != 0).sum())} switches from 0 to 1"

    def refuses(value: float, dtype: torch.dtype = torch.float64) -> str:
        return refused(lambda: route(torch.tensor([0.5, value], dtype=dtype)))

    report.hold("boundaries ascend strictly inside 0..1", lambda: _ascending(edges))
    report.hold("every time in 0..1, ends and boundaries too, has one expert", total)
    report.hold("a time's expert depends on nothing else in the batch", same_alone)
    report.hold("a time on a boundary goes to the noisier expert", cut)
    report.hold("noisier times never go to a lower expert", monotone)
    report.hold("NaN is refused", lambda: refuses(math.nan))
    report.hold("times below 0 and above 1 are refused", lambda: (refuses(-1e-9), refuses(1 + 1e-9))[0])
    report.hold("16-bit times are refused", lambda: (refuses(0.5, torch.bfloat16), refuses(0.5, torch.float16))[0])
    return report


def _time_only(router: Router) -> None:
    if not router.depends_on_time_only:
        raise LawSkippedError("depends_on_time_only is False")


def _ascending(edges: Tensor) -> None:
    if not bool((edges.diff() > 0).all()):
        raise AssertionError(f"boundaries are {edges[1:-1].tolist()}")
