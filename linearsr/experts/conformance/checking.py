"""What every router is held to; what else follows from what it declares.

The class may be anybody's and needs nothing of linearsr: see `linearsr.core.protocols.Router`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from linearsr.core.conformance import ConformanceReport, close, refused
from linearsr.core.protocols import Router
from linearsr.core.randomness import generator
from linearsr.core.trial import SINGLE
from linearsr.experts.conformance.asked import Asked
from linearsr.experts.conformance.laws_of_time import hold_laws_of_time
from linearsr.experts.conformance.laws_of_weights import hold_laws_of_weights
from linearsr.experts.routing import count_experts

PICTURE = (3, 6, 10)
"""Of a router's pictures: as small as shows height and width apart."""
ALONE = 97
"""Every 97th of the thousand times is asked alone, too."""


def check_router(router: Router, seed: int = 0) -> ConformanceReport:
    """Total, deterministic, picture by picture. One that depends on time only is held to its boundaries, one that has
    `weights` to the laws of a module. seed: of the pictures for a router that looks at more than t."""
    report = ConformanceReport(type(router).__name__, seed=seed)
    edges = torch.tensor([0.0, *router.boundaries, 1.0], dtype=torch.float64)
    t = torch.cat([edges, torch.linspace(0, 1, 1001, dtype=torch.float64)]).sort().values
    asked = Asked(router, count_experts(router), t, None)
    if not router.depends_on_time_only:
        pictures = torch.rand(len(t), *PICTURE, generator=generator(seed)) * 2 - 1
        report.hold("features are [B, F], finite, and each picture's own", lambda: _features(asked, pictures))
        if report.failed:
            return report
        asked = Asked(router, asked.num_experts, t, asked.router.features(pictures))

    report.hold("boundaries ascend strictly inside 0..1", lambda: _ascending(asked, edges))
    report.hold("every time in 0..1, ends and boundaries too, has one expert", lambda: _total(asked))
    report.hold("a time's expert depends on nothing else in the batch", lambda: _alone(asked))
    report.hold("NaN is refused", lambda: _refuses(asked, math.nan))
    report.hold("times below 0 and above 1 are refused", lambda: (_refuses(asked, -1e-9), _refuses(asked, 1 + 1e-9))[0])
    report.hold("bfloat16 times are refused", lambda: _refuses(asked, 0.5, torch.bfloat16))
    report.hold("float16 times are refused", lambda: _refuses(asked, 0.5, torch.float16))
    if router.depends_on_time_only:
        hold_laws_of_time(report, asked)
    elif hasattr(router, "weights"):
        hold_laws_of_weights(report, asked)
    return report


def _features(asked: Asked, pictures: Tensor) -> str:
    together = asked.router.features(pictures)
    if together.ndim != 2 or len(together) != len(pictures) or not bool(together.isfinite().all()):
        raise AssertionError(f"features of {len(pictures)} pictures are {list(together.shape)}; wanted finite [B, F]")
    alone = torch.cat([asked.router.features(one) for one in pictures[::ALONE].split(1)])
    return f"F = {together.shape[1]}; {close('alone', alone, together[::ALONE], SINGLE)}"


def _ascending(asked: Asked, edges: Tensor) -> str:
    if not bool((edges.diff() > 0).all()):
        raise AssertionError(f"boundaries are {list(asked.boundaries)}")
    if asked.boundaries and asked.num_experts != len(asked.boundaries) + 1:
        raise AssertionError(f"num_experts is {asked.num_experts}, with {len(asked.boundaries)} boundaries; wanted one more")
    return f"{asked.num_experts} experts"


def _total(asked: Asked) -> str:
    for dtype in (torch.float32, torch.float64):
        served = asked.route(asked.t.to(dtype))
        if served.dtype != torch.int64 or served.shape != asked.t.shape:
            n = len(asked.t)
            raise AssertionError(f"route(t [{n}]) is {served.dtype} {list(served.shape)}; wanted int64 [{n}]")
        if not bool(((served >= 0) & (served < asked.num_experts)).all()):
            raise AssertionError(f"experts {served.min()}…{served.max()}; wanted 0..{asked.num_experts - 1}")
    return f"{len(served.unique())} of {asked.num_experts} experts used"


def _alone(asked: Asked) -> None:
    t, together, rows = asked.t, asked.route(asked.t), torch.arange(len(asked.t))
    if not torch.equal(together, asked.route(t)):
        raise AssertionError("the same times went to other experts")
    settled = _settled(asked)
    backwards = asked.route(t.flip(0), rows.flip(0)).flip(0)
    alone = torch.cat([asked.route(t[row], row) for row in rows[::ALONE].split(1)])
    if bool((backwards != together)[settled].any()) or bool((alone != together[::ALONE])[settled[::ALONE]].any()):
        raise AssertionError("the expert of a time depends on the other times of the batch")


def _settled(asked: Asked) -> Tensor:
    """bool [n]: not so near a tie of two weights that rounding, which differs by batch, decides."""
    if not hasattr(asked.router, "weights") or asked.num_experts == 1:
        return torch.ones_like(asked.t, dtype=torch.bool)
    first, second = asked.weights(asked.t).topk(2, dim=1).values.unbind(dim=1)
    return first - second > SINGLE


def _refuses(asked: Asked, value: float, dtype: torch.dtype = torch.float64) -> str:
    return refused(lambda: asked.route(torch.tensor([0.5, value], dtype=dtype)))
