"""What a router owes that depends on time only: its experts are intervals, cut at its boundaries."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from linearsr.core.conformance import ConformanceReport, LawSkippedError
from linearsr.core.signatures import accepted_keys
from linearsr.experts.conformance.asked import Asked
from linearsr.experts.routing import TimeRouter

SHIFTS = (1 / 3, 3.0, 6.0)
"""Of time: Sana's two, and one back."""
NEAR = 1e-9
"""Times this close to a boundary may change sides when both are shifted: many roundings of float64."""


def hold_laws_of_time(report: ConformanceReport, asked: Asked) -> None:
    report.hold("a time on a boundary goes to the noisier expert", lambda: _cut(asked))
    report.hold("noisier times never go to a lower expert", lambda: _monotone(asked))
    report.hold("descending times switch experts at most K − 1 times", lambda: _switches(asked))
    report.hold("shifting times and boundaries together changes no expert", lambda: _shift(asked))
    report.hold("each expert's interval holds its times, without gap", lambda: _intervals(asked))


def _cut(asked: Asked) -> None:
    """In float32 too, where its boundaries are numbers apart."""
    for dtype in (torch.float64, torch.float32):
        edges = torch.tensor([0.0, *asked.boundaries, 1.0], dtype=dtype)
        if bool((edges.diff() <= 0).any()):
            continue
        for k, boundary in enumerate(edges[1:-1]):
            got = asked.route(torch.stack([boundary.nextafter(edges[0]), boundary])).tolist()
            if got != [k, k + 1]:
                raise AssertionError(f"just below and on the boundary {boundary:.9g}: experts {got}, wanted {[k, k + 1]}")


def _monotone(asked: Asked) -> None:
    falls = asked.route(asked.t).diff() < 0
    if bool(falls.any()):
        raise AssertionError(f"a noisier time went to a lower expert at t = {asked.t[1:][falls].tolist()[:8]}")


def _switches(asked: Asked) -> str:
    count = int((asked.route(asked.t.flip(0)).diff() != 0).sum())
    if count >= asked.num_experts:
        raise AssertionError(f"{count} switches from 1 to 0, with {asked.num_experts} experts")
    return f"{count} from 1 to 0"


def _shift(asked: Asked) -> str:
    boundaries = torch.tensor(asked.boundaries, dtype=torch.float64)
    away = ((asked.t[:, None] - boundaries).abs() > NEAR).all(dim=1)
    served = asked.route(asked.t)
    for shift in SHIFTS:
        moved = _rebuilt(asked.router, tuple(_shifted(boundaries, shift).tolist()))
        other = (moved.route(_shifted(asked.t, shift)) != served) & away
        if bool(other.any()):
            raise AssertionError(f"shifted by {shift:.3g}, other experts at t = {asked.t[other].tolist()[:8]}")
    return f"{int(away.sum())} times, shifted by {', '.join(f'{shift:.3g}' for shift in SHIFTS)}"


def _rebuilt(router: Any, boundaries: tuple[float, ...]) -> Any:
    """With other boundaries: of its own class where that is built from them alone, else the partition that they describe."""
    keys = accepted_keys(type(router))
    own = "boundaries" in keys.names and not set(keys.required) - {"boundaries"}
    return type(router)(boundaries=boundaries) if own else TimeRouter(boundaries)


def _shifted(t: Tensor, shift: float) -> Tensor:
    """logit t + ln shift."""
    return shift * t / (shift * t + (1 - t))


def _intervals(asked: Asked) -> None:
    if not hasattr(asked.router, "interval"):
        raise LawSkippedError("it has no interval(expert)")
    intervals = [tuple(asked.router.interval(expert)) for expert in range(asked.num_experts)]
    if intervals != list(pairwise((0.0, *asked.boundaries, 1.0))):
        raise AssertionError(f"they are {intervals}; the boundaries are {list(asked.boundaries)}")
