"""A routing audit to look at: two tables and a plot."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from linearsr.core.atomic import atomic_path
from linearsr.core.engine.routing_audit import Audit
from linearsr.core.errors import ConfigError

WIDTH = 120
"""Of tables that go to a file."""


def print_audit(found: Audit, console: Console | None = None) -> None:
    """On the given console, else on standard output. The expert that is routed to is bold, a better one green."""
    out = console or Console(width=None if sys.stdout.isatty() else WIDTH)
    experts = range(len(found.levels[0].losses))
    levels = Table(title=f"velocity error by noise level, {found.pictures} pictures", title_justify="left")
    for name in ("t", "log-SNR", "served by", *(f"expert {k}" for k in experts), "best"):
        levels.add_column(name, justify="right")
    for level in found.levels:
        shown = [f"{loss:.4f}" for loss in level.losses]
        if level.best != level.routed:
            shown[level.best] = f"[green]{shown[level.best]}[/]"
        shown[level.routed] = f"[bold]{shown[level.routed]}[/]"
        snr = "−∞" if level.log_snr is None else f"{level.log_snr:.2f}"
        levels.add_row(f"{level.t:.4f}", snr, str(level.routed), *shown, str(level.best))
    out.print(levels)
    if found.meetings:
        meetings = Table(title="where two experts meet", title_justify="left")
        for name in ("t", "experts", "jump of the velocity", "error of the lower", "error of the upper"):
            meetings.add_column(name, justify="right")
        for at in found.meetings:
            pair = f"{at.lower} | {at.lower + 1}"
            meetings.add_row(f"{at.t:.4f}", pair, f"{at.jump:.2%}", *(f"{loss:.4f}" for loss in at.losses))
        out.print(meetings)
    out.print(f"{found.well_routed:.0%} of the noise levels are served by the expert with the least error there")


def plot_audit(found: Audit, path: str | Path) -> Path:
    """A PNG: each expert's error over log-SNR, thick where it serves, with the boundaries. Raises ConfigError without
    matplotlib, which nothing else needs."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("the plot needs matplotlib: pip install matplotlib, or leave --plot out") from error
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    levels = [level for level in found.levels if level.log_snr is not None]
    snr = [level.log_snr or 0.0 for level in levels]
    for k in range(len(found.levels[0].losses)):
        errors = [level.losses[k] for level in levels]
        (line,) = axes.plot(snr, errors, lw=1, label=f"expert {k}")
        served = [error if level.routed == k else math.nan for error, level in zip(errors, levels, strict=True)]
        axes.plot(snr, served, lw=3, marker="o", ms=4, color=line.get_color())
    for at in found.meetings:
        axes.axvline(at.log_snr, color="0.7", lw=1, ls=":")
    axes.set(xlabel="log-SNR (noise on the left)", ylabel="mean squared error of the velocity", yscale="log")
    axes.legend()
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    return target
