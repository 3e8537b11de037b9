"""What the figures of the backbone benchmark say. Everything is made of the JSON's content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from measuring import Goal, Judged, launches_in_words, markdown_table
from measuring.goals import HEAD
from measuring.roofline import peaks_in_words

Report = dict[str, Any]

SPEED = {"float32": (1.05, 1.3), "bfloat16": (1.15, 1.5)}
"""How many times as long diffusers' forward takes as our prepared step at TOKENS, words being padded: gate and aim."""
TOKENS = 1024
GROWTH, LARGEST = 0.55, 16384
"""Our peak growth of diffusers', at most, with so many tokens."""
DIFFERENCE = 1e-6
"""Of the largest output, in float32 with at most four blocks."""
COLUMNS = ["", "N", "blocks", "median ms", "fastest ms", "diffusers ÷ it", "peak MiB"]
LAYERS = ["part", "median ms", "of the time", "GFLOP", "MB", "of FLOP/s", "of bytes/s", "of roofline"]


def judge(report: Report) -> list[Judged]:
    """Every goal for which there are figures."""
    rows = {(row["dtype"], row["tokens"], row["contender"]): row for row in report["rows"]}
    judged = []
    for dtype, (gate, aim) in SPEED.items():
        if row := rows.get((dtype, TOKENS, "ours")):
            goal = Goal(f"diffusers ÷ ours, a step, padded words, {dtype}, N = {TOKENS}, {row['depth']} blocks", gate, aim)
            judged.append(Judged(goal, row["of_diffusers"]))
            if dtype == "float32":
                goal = Goal(f"relative difference, {dtype}, {row['depth']} blocks", DIFFERENCE, at_least=False, unit="")
                judged.append(Judged(goal, row["difference"]))
        if row := rows.get((dtype, LARGEST, "ours")):
            goal = Goal(f"ours ÷ diffusers, peak growth, {dtype}, N = {LARGEST}", GROWTH, at_least=False)
            judged.append(Judged(goal, row["peak_bytes"] / rows[dtype, LARGEST, "diffusers"]["peak_bytes"]))
    return judged


def tables(report: Report) -> str:
    """Markdown: the goals, times and memory, then where our step's time goes."""
    blocks = [peaks_in_words(report["peak_flops"], report["peak_bytes"])]
    if judged := judge(report):
        blocks += ["## Goals", markdown_table(HEAD, [one.cells() for one in judged])]
    for dtype in dict.fromkeys(row["dtype"] for row in report["rows"]):
        rows = [row for row in report["rows"] if row["dtype"] == dtype]
        layers = [layer for layer in report["layers"] if layer["dtype"] == dtype]
        blocks += [f"## {dtype}", markdown_table(COLUMNS, [list(_cells(row)) for row in rows])]
        blocks += [f"Largest difference of the outputs, of the largest value: {max(row['difference'] for row in rows):.1e}."]
        blocks += launches_in_words(rows)
        blocks += [f"Our step's time by part, N = {layers[0]['tokens']}, {layers[0]['depth']} blocks:"]
        blocks += [markdown_table(LAYERS, [list(_layer_cells(layer)) for layer in layers])]
    return "\n\n".join(blocks)


def _cells(row: dict[str, Any]) -> Iterator[str]:
    yield from (row["contender"], str(row["tokens"]), str(row["depth"]))
    timed = "median_ms" in row
    yield from (f"{row[key]:.4g}" if timed else "" for key in ("median_ms", "minimum_ms"))
    yield f"{row['of_diffusers']:.2f}" if timed else ""
    yield f"{row['peak_bytes'] / 2**20:.3g}"


def _layer_cells(layer: dict[str, Any]) -> Iterator[str]:
    yield from (layer["part"], f"{layer['median_ms']:.3g}", f"{layer['of_time']:.0%}")
    yield from (f"{layer['flops'] / 1e9:.3g}", f"{layer['bytes'] / 1e6:.3g}")
    yield from (f"{layer[share]:.0%}" for share in ("of_flops", "of_bytes", "of_roofline"))
