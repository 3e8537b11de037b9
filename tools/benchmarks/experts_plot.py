"""The experts' ablation in one picture: every seed, and mean and spread of each arm."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from arm_report import TITLES, columns, datasets, names, values
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from measuring.plotting import save

WIDTH, MARGIN, LINE = 2.6, 0.8, 0.3
"""Inches: of a panel's width; of its height, besides a line for each arm."""
TICKS = 4
"""Of a panel at most: more would run into one another."""
SEED, MEAN = "#9aa5b1", "#1b6ca8"


def draw(report: dict[str, Any], path: Path) -> None:
    """A row of panels for each data set, a panel for each measure and number of steps."""
    down, across = datasets(report), columns(report)
    height = MARGIN + LINE * len(names(report))
    figure = Figure(figsize=(1.5 + WIDTH * len(across), height * len(down)), layout="constrained")
    grid = figure.subplots(len(down), len(across), squeeze=False, sharey=True)
    for dataset, panels in zip(down, grid, strict=True):
        for (measure, steps), axes in zip(across, panels, strict=True):
            _panel(axes, report, dataset, measure, steps)
        panels[0].set_ylabel(dataset)
    grid[0, 0].invert_yaxis()  # which all panels share
    for (measure, steps), axes in zip(across, grid[0], strict=True):
        axes.set_title(f"{TITLES[measure][0]}, {steps} step{'s' * (steps > 1)}", fontsize=10)
    save(figure, path)


def _panel(axes: Axes, report: dict[str, Any], dataset: str, measure: str, steps: int) -> None:
    for place, name in enumerate(names(report)):
        found = list(values(report, name, dataset, measure, steps).values())
        axes.scatter(found, [place] * len(found), s=14, color=SEED)
        if found:
            spread = statistics.stdev(found) if len(found) > 1 else 0.0
            axes.errorbar(statistics.fmean(found), place, xerr=spread, fmt="d", color=MEAN, markersize=5, capsize=3)
    axes.set_yticks(range(len(names(report))), names(report), fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(TICKS))
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x", alpha=0.3)
