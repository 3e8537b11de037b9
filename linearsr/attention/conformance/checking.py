"""All laws of an attention, in the order of the report.

The class may be anybody's and needs nothing of linearsr: see `linearsr.core.protocols.Attention`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from linearsr.attention.conformance.declared import hold_declarations
from linearsr.attention.conformance.extremes import hold_extremes
from linearsr.attention.conformance.growth import hold_growth
from linearsr.attention.conformance.interface import hold_interface
from linearsr.attention.conformance.subject import Subject, usable
from linearsr.attention.conformance.twin import hold_twin
from linearsr.core.conformance import ConformanceReport
from linearsr.core.module_laws import hold_module_laws
from linearsr.core.module_uses import hold_uses
from linearsr.core.trial import builder


def check_attention(
    cls: Callable[..., Any],
    options: Mapping[str, Any] | None = None,
    *,
    dim: int = 16,
    num_heads: int = 2,
    layer: int = 0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    timing: bool = False,
) -> ConformanceReport:
    """Shapes, types, gradients, independence, the slow twin, extremes, and whatever the class declares, costs included.

    cls:                   built as the denoiser builds it, `cls(dim=…, num_heads=…, layer=…, **options)`, each if taken
    options:               keys of its own, as in a config
    dim, num_heads, layer: width of a token (at least 2), number of heads, number of the block, from 0
    seed:                  of tokens and weights
    device:                where they are, "cuda" for what works nowhere else; ConfigError if it has no float64
    timing:                also how the processor's time grows; then the verdict depends on the machine
    """
    report = ConformanceReport(getattr(cls, "__name__", str(cls)), seed=seed, device=str(device))
    build = builder(cls, options, {"dim": dim, "num_heads": num_heads, "layer": layer})
    subject = Subject(build, dim, seed, usable(device))
    with _full_float32(subject.device):
        if hold_module_laws(report, subject.trial((5, 3))):
            _hold_laws_of_attention(report, subject, timing)
    return report


def _hold_laws_of_attention(report: ConformanceReport, subject: Subject, timing: bool) -> None:
    hold_uses(report, [subject.trial((5, 3)), subject.trial((4, 7))])
    hold_interface(report, subject)
    hold_twin(report, subject)
    hold_declarations(report, subject)
    hold_extremes(report, subject)
    hold_growth(report, subject, timing=timing)


def _full_float32(device: torch.device) -> AbstractContextManager[None]:
    """cuDNN's convolutions keep 10 bits of a float32 unless told otherwise, and no law is about that setting."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, deterministic=torch.backends.cudnn.deterministic, allow_tf32=False)
