"""How the benchmarks' pictures look. Figures are made without pyplot, which would keep them and look for a screen."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from linearsr.core.atomic import atomic_path

COLOURS = {"ours": "#1b6ca8", "diffusers": "#d1701f", "SDPA": "#7a7a7a", "flash-bidirectional": "#3a8f4d"}
DASHES = {"float32": "-", "bfloat16": "--"}
DPI = 120


def save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png")
