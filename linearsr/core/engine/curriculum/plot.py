"""All stages on one axis of iterations: validation metrics and loss, their knees, and what each began with."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from linearsr.core.engine.curriculum.records import StageRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Lines = Sequence[Mapping[str, Any]]
WIDTH, HEIGHT, DPI = 11.0, 2.4, 110
"""Inches of the figure and of a metric's row; dots per inch."""
KNEE, CURVE, SHADES = "#1e7b34", "#1b4f72", ("#f4f6f8", "#ffffff")
LOSS = "loss"


def draw_stages(records: Sequence[StageRecord], logs: Mapping[str, Lines]) -> bytes:
    """logs: stage -> lines of its log. Returns a PNG."""
    from matplotlib.figure import Figure  # not pyplot, which would keep the figure and look for a screen

    rows = [*_metrics(records, logs), LOSS]
    figure = Figure(figsize=(WIDTH, 0.6 + HEIGHT * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    begin = 0
    for index, record in enumerate(records):
        lines = logs.get(record.name, ())
        for axes, name in zip(grid, rows, strict=True):
            axes.axvspan(begin, begin + record.iterations, color=SHADES[index % 2], linewidth=0, zorder=0)
            _curve(axes, lines, name, begin)
            if record.knee_step is not None:
                label = "knee" if index == 0 else None
                axes.axvline(begin + record.knee_step, color=KNEE, linewidth=1.5, label=label)
        title = f"{record.name}\nfrom {record.start.told or 'scratch'}"
        grid[0].text(begin, 1.02, title, transform=grid[0].get_xaxis_transform(), fontsize=8)  # y in shares of the height
        begin += record.iterations
    for axes, name in zip(grid, rows, strict=True):
        axes.set_ylabel(name, fontsize=9)
        axes.grid(alpha=0.25)
        axes.margins(x=0.01)
    if any(record.knee_step is not None for record in records):
        grid[0].legend(loc="lower right", fontsize=8)
    grid[-1].set_xlabel("iterations of all stages")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=DPI, format="png")
    return picture.getvalue()


def _curve(axes: Axes, lines: Lines, name: str, begin: int) -> None:
    phase = "train" if name == LOSS else "val"
    points = [(begin + line["step"], line[name]) for line in lines if line["phase"] == phase and line.get(name) is not None]
    if points:
        marker = "." if phase == "val" else None
        axes.plot(*zip(*points, strict=True), color=CURVE, linewidth=1.2, marker=marker)


def _metrics(records: Sequence[StageRecord], logs: Mapping[str, Lines]) -> list[str]:
    """Over all pictures, in the order in which they appear, and those of single data sets that a knee was found on."""
    names = [
        name
        for lines in logs.values()
        for line in lines
        if line["phase"] == "val"
        for name, value in line.items()
        if isinstance(value, float) and "/" not in name and name not in ("time", "data_time")
    ]
    return list(dict.fromkeys([*names, *(name for record in records for name in (record.knee or {}).get("directions", ()))]))
