"""Does a guider keep its contract? `check_guider(mine).require()` raises with the laws broken."""

from __future__ import annotations

import torch
from torch import Tensor

from linearsr.core.conformance import ConformanceReport, close, refused
from linearsr.core.protocols import Guider
from linearsr.core.randomness import generator

SCALES = (0.0, 0.5, 1.0, 3.0, 7.5)
ROUNDING = 1e-12
"""Relative to the largest value: a few hundred roundings of float64, more than sums over a small picture need."""


def check_guider(guider: Guider, num_experts: int = 1, seed: int = 0) -> ConformanceReport:
    """One scale for each picture; at 1 the answer with guidance; equal answers stay; types, batches, blank answers, no state.

    num_experts: of the denoiser that a guider which asks for the expert is made for
    """
    report = ConformanceReport(type(guider).__name__)
    draw = generator(seed)
    v_c, v_u = (torch.randn(len(SCALES), 2, 4, 5, generator=draw, dtype=torch.float64) for _ in range(2))
    scale, t = torch.tensor(SCALES, dtype=torch.float64), torch.linspace(0, 1, 101, dtype=torch.float64)
    expert = torch.randint(num_experts, t.shape, generator=draw)
    ones = torch.ones_like(scale)
    report.hold("scales are finite [B] in t's type, also at 0 and 1", lambda: _well_formed(guider, t, expert))
    report.hold("a picture's scale does not depend on the batch", lambda: _own_scale(guider, t, expert))
    report.hold("it asks for the expert where it needs it", lambda: _asked(guider, t, expert))
    report.hold("at scale 1 it is the answer with guidance", lambda: close("v", guider.combine(v_c, v_u, ones), v_c, ROUNDING))
    report.hold("two equal answers stay what they are", lambda: close("v", guider.combine(v_c, v_c, scale), v_c, ROUNDING))
    report.hold("a picture's answer does not depend on the batch", lambda: _alone(guider, v_c, v_u, scale))
    report.hold("shape and type are those of the answer with guidance", lambda: _types(guider, v_c, v_u, scale))
    report.hold("blank answers give finite ones", lambda: _blank(guider, v_c, scale))
    report.hold("it keeps no state and leaves the answers alone", lambda: _pure(guider, v_c, v_u, scale))
    return report


def _well_formed(guider: Guider, t: Tensor, expert: Tensor) -> str:
    for dtype in (torch.float32, torch.float64):
        found = guider.scales(t.to(dtype), expert)
        if found.shape != t.shape or found.dtype != dtype or not bool(found.isfinite().all()):
            raise AssertionError(
                f"scales are {found.dtype} {list(found.shape)}, finite: {bool(found.isfinite().all())}; "
                f"wanted {dtype} {list(t.shape)}"
            )
    return f"{found.min():.3g} … {found.max():.3g}"


def _own_scale(guider: Guider, t: Tensor, expert: Tensor) -> str:
    alone = [guider.scales(t[i : i + 1], expert[i : i + 1]) for i in range(len(t))]
    return close("scales", torch.cat(alone), guider.scales(t, expert), 0)


def _asked(guider: Guider, t: Tensor, expert: Tensor) -> str:
    if guider.asks_expert:
        return refused(lambda: guider.scales(t))
    return close("scales without it", guider.scales(t), guider.scales(t, expert), 0)


def _alone(guider: Guider, v_c: Tensor, v_u: Tensor, scale: Tensor) -> str:
    alone = [guider.combine(v_c[i : i + 1], v_u[i : i + 1], scale[i : i + 1]) for i in range(len(scale))]
    return close("v", torch.cat(alone), guider.combine(v_c, v_u, scale), ROUNDING)


def _types(guider: Guider, v_c: Tensor, v_u: Tensor, scale: Tensor) -> None:
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        v = guider.combine(v_c.to(dtype), v_u.to(dtype), scale)
        if v.dtype != dtype or v.shape != v_c.shape:
            raise AssertionError(f"{dtype} {list(v_c.shape)} became {v.dtype} {list(v.shape)}")


def _blank(guider: Guider, v_c: Tensor, scale: Tensor) -> None:
    zero = torch.zeros_like(v_c)
    for name, answers in {"both": (zero, zero), "with guidance": (zero, v_c), "without": (v_c, zero)}.items():
        if not bool(guider.combine(*answers, scale).isfinite().all()):
            raise AssertionError(f"NaN or Inf where the answer is 0: {name}")


def _pure(guider: Guider, v_c: Tensor, v_u: Tensor, scale: Tensor) -> str:
    given = [v_c.clone(), v_u.clone(), scale.clone()]
    first, again = guider.combine(*given), guider.combine(*given)
    for name, now, before in zip(("v_c", "v_u", "scale"), given, (v_c, v_u, scale), strict=True):
        close(f"{name} afterwards", now, before, 0)
    return close("second call", again, first, 0)
