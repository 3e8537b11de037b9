"""The attention benchmark in one picture: time over tokens, and how many times as long the peers take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measuring.plotting import COLOURS, DASHES, save

Limits = Mapping[int, tuple[float, float | None]]


def draw(report: dict[str, Any], path: Path, goals: Mapping[tuple[int, str, str, str], Limits]) -> None:
    """goals: (heads, dtype, direction, peer) -> tokens -> (gate, aim); one group of bars each, if it was measured."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    times, ratios = figure.subplots(1, 2)
    _times(times, report["rows"])
    _ratios(ratios, report["rows"], goals)
    save(figure, path)


def _times(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Of the largest number of heads, forward."""
    heads = max(row["heads"] for row in rows)
    chosen = [row for row in rows if row["heads"] == heads and row["direction"] == "forward"]
    for contender, dtype in dict.fromkeys((row["contender"], row["dtype"]) for row in chosen):
        line = [row for row in chosen if (row["contender"], row["dtype"]) == (contender, dtype)]
        where, milliseconds = zip(*((row["tokens"], row["median_ms"]) for row in line), strict=True)
        style = {"color": COLOURS[contender], "linestyle": DASHES[dtype]}
        axes.loglog(where, milliseconds, marker="o", markersize=4, label=f"{contender}, {dtype}", **style)
    axes.set(xlabel="tokens N", ylabel="milliseconds", title=f"Forward, {heads} heads of {chosen[0]['head_width']}")
    axes.grid(which="both", alpha=0.2)
    axes.legend(fontsize=8)


def _ratios(axes: Axes, rows: list[dict[str, Any]], goals: Mapping[tuple[int, str, str, str], Limits]) -> None:
    """A bar for every goal; a line across it at its gate, a dotted one at its aim."""
    labels: list[str] = []
    for row in rows:
        limits = goals.get((row["heads"], row["dtype"], row["direction"], row["contender"]), {})
        if row["tokens"] in limits:
            place, (gate, aim) = len(labels), limits[row["tokens"]]
            axes.barh(place, row["times_ours"], color=COLOURS[row["contender"]])
            for limit, dash in ((gate, "-"), (aim, ":")):
                if limit is not None:
                    axes.vlines(limit, place - 0.45, place + 0.45, color="black", linestyle=dash)
            backward = " + backward" if "backward" in row["direction"] else ""
            labels.append(f"{row['contender']}, {row['heads']} heads, {row['dtype']}, {row['tokens']}{backward}")
    axes.set_xscale("log")
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="peer's time ÷ ours", title="Gates (line) and aims (dotted)")
    axes.grid(axis="x", which="both", alpha=0.2)
