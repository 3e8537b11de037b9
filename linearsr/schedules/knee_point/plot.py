"""A log in one picture: each metric, its running median, the phases behind it, knee and onset across it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from linearsr.core.atomic import atomic_path
from linearsr.schedules.knee_point.report import KneeReport
from linearsr.schedules.knee_point.signal import centred_median
from linearsr.schedules.knee_point.state import Phase

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES = {
    Phase.UNDETERMINED: "#e8e8e8",
    Phase.IMPROVE: "#d9ead9",
    Phase.PLATEAU: "#dbe7f3",
    Phase.OSCILLATION: "#f6dcd5",
}
LINE, KNEE, ONSET = "#1b4f72", "#1e7b34", "#b03a2e"
WIDTH, HEIGHT, DPI = 9.0, 2.3, 120
"""Inches of a log's column and of a metric's row; dots per inch."""


def draw_knees(reports: Sequence[KneeReport], path: Path) -> None:
    """A column for each log, a row for each metric. Written as PNG."""
    from matplotlib.figure import Figure  # not pyplot, which would keep the figure and look for a screen

    metrics = list(reports[0].values)
    figure = Figure(figsize=(WIDTH * len(reports), 0.7 + HEIGHT * len(metrics)), layout="constrained")
    grid = figure.subplots(len(metrics), len(reports), sharex="col", squeeze=False)
    for column, report in zip(grid.T, reports, strict=True):
        for axes, name in zip(column, metrics, strict=True):
            _shade(axes, report)
            _metric(axes, report, name)
        column[0].set_title(_title(report), loc="left", fontsize=10)
        column[0].legend(loc="lower right", fontsize=8, framealpha=0.9, ncols=4)
        column[-1].set_xlabel("step")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png")


def _metric(axes: Axes, report: KneeReport, name: str) -> None:
    values, steps = report.values[name], report.steps
    finite = [i for i, value in enumerate(values) if math.isfinite(value)]
    where, given = [steps[i] for i in finite], [values[i] for i in finite]
    axes.plot(where, given, ".", color=LINE, alpha=0.45, markersize=5, label="evaluation")
    axes.plot(where, centred_median(given, report.window), color=LINE, linewidth=1.4, label=f"median of {report.window}")
    across = (
        (report.state.knee_step, KNEE, "-", "knee"),
        (report.confirmed_at, KNEE, ":", "confirmed"),
        (report.state.onset_step, ONSET, "--", "onset"),
    )
    for step, colour, dash, label in across:
        if step is not None:
            axes.axvline(step, color=colour, linewidth=1.6, linestyle=dash, label=label)
    own = report.state.per_metric[name]
    for step, colour, mark, label in ((own.knee_step, KNEE, "D", "own knee"), (own.onset_step, ONSET, "v", "own onset")):
        if step is not None:
            axes.plot([step], [values[steps.index(step)]], mark, color=colour, markersize=7, label=label)
    arrow = "higher" if report.directions[name] > 0 else "lower"
    axes.set_ylabel(f"{name}\n({arrow} is better)", fontsize=9)
    axes.margins(x=0.01, y=0.12)
    axes.grid(alpha=0.25)


def _shade(axes: Axes, report: KneeReport) -> None:
    """As it turned out: what was called a plateau online while it was still a rise is shown as the rise."""
    state, last = report.state, report.steps[-1]
    knee = last if state.knee_step is None else state.knee_step
    onset = last if state.onset_step is None else state.onset_step
    before = Phase.UNDETERMINED if state.knee_step is None else Phase.IMPROVE
    for phase, left, right in (
        (before, report.steps[0], knee),
        (Phase.PLATEAU, knee, onset),
        (Phase.OSCILLATION, onset, last),
    ):
        if left < right:
            axes.axvspan(left, right, color=SHADES[phase], linewidth=0, zorder=0, label=phase.value)


def _title(report: KneeReport) -> str:
    state = report.state
    if state.knee_step is None:
        return f"{report.log}: undetermined"
    told = f"confirmed at {report.confirmed_at}" if state.confirmed else "not confirmed"
    return f"{report.log}: knee at {state.knee_step}, {told}, confidence {state.confidence:.0%}"
