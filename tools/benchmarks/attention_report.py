"""What the figures of the attention benchmark say: goals, tables, a plot. Everything is made of the JSON's content."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import Goal, Judged, Timing, crossover, exponents, goal_rows, launches_in_words, markdown_table
from measuring.goals import HEAD
from measuring.roofline import peaks_in_words

Report = dict[str, Any]
Row = dict[str, Any]

FLOAT32, BFLOAT16 = "float32", "bfloat16"
FORWARD, BOTH = "forward", "forward and backward"
OURS, DIFFUSERS, SDPA, FLASH = "ours", "diffusers", "SDPA", "flash-bidirectional"

SPEED = {
    "cpu": (
        (36, FLOAT32, FORWARD, DIFFUSERS, {1024: (1.0, 1.3), 4096: (1.5, 2.0), 16384: (2.0, 3.0)}),
        (36, BFLOAT16, FORWARD, DIFFUSERS, {1024: (1.0, 1.3), 4096: (1.5, 2.0), 16384: (2.0, 4.0)}),
        (8, FLOAT32, FORWARD, SDPA, {1024: (8.0, None), 4096: (25.0, None), 16384: (80.0, None)}),
        (36, FLOAT32, BOTH, DIFFUSERS, {16384: (1.9, None)}),
        (36, BFLOAT16, BOTH, DIFFUSERS, {16384: (1.9, None)}),
    ),
    "cuda": (
        (36, BFLOAT16, FORWARD, FLASH, {1024: (1.3, None), 4096: (1.3, None), 16384: (1.3, None)}),
        (36, BFLOAT16, FORWARD, SDPA, {16384: (50.0, None)}),
    ),
}
"""How many times as long a peer must at least take: heads, dtype, direction, peer, tokens -> (gate, aim)."""
MICROSECONDS = {"cpu": {}, "cuda": {1024: 8.0, 4096: 16.0, 16384: 60.0}}
"""At most, forward, 36 heads in bfloat16, of an H200."""
EXPONENT = (1.10, 1.05)
"""Gate and aim of the slope of log time over log tokens between the two sizes of SLOPE."""
SLOPE = (1024, 16384)
GROWTH = 0.4
"""Of diffusers' peak growth, at most."""


COLUMNS = ["", "N", "median ms", "fastest ms", "÷ ours", "peak MiB", "of FLOP/s", "of bytes/s", "of roofline"]


def judge(report: Report) -> list[Judged]:
    """Every goal for which there are figures."""
    return [*_speed(report), *_exponents(report), *_growth(report)]


def _speed(report: Report) -> Iterator[Judged]:
    rows, device = _by_place(report), report["device"]
    for heads, dtype, direction, peer, limits in SPEED[device]:
        for tokens, (gate, aim) in limits.items():
            if row := rows.get((heads, dtype, direction, tokens, peer)):
                goal = Goal(f"{peer} ÷ ours, {direction}, {_place(heads, dtype, tokens)}", gate, aim)
                yield Judged(goal, row["times_ours"])
    for tokens, limit in MICROSECONDS[device].items():
        if row := rows.get((36, BFLOAT16, FORWARD, tokens, OURS)):
            goal = Goal(f"ours, forward, {_place(36, BFLOAT16, tokens)}", limit, at_least=False, unit=" µs")
            yield Judged(goal, 1000 * row["median_ms"])


def _exponents(report: Report) -> Iterator[Judged]:
    """On a CPU; a GPU is not filled by few tokens, so its time says nothing of the cost."""
    for (heads, dtype, contender), exponent in _slopes(report).items():
        if contender == OURS and report["device"] == "cpu":
            name = f"exponent of ours' time, forward, {heads} heads, {dtype}, N = {SLOPE[0]} to {SLOPE[1]}"
            yield Judged(Goal(name, *EXPONENT, at_least=False, unit=""), exponent)


def _growth(report: Report) -> Iterator[Judged]:
    rows = _by_place(report)
    for (heads, dtype, direction, tokens, contender), row in rows.items():
        theirs = rows.get((heads, dtype, direction, tokens, DIFFUSERS))
        if contender == OURS and theirs and direction == FORWARD and tokens == SLOPE[1]:
            goal = Goal(f"ours ÷ diffusers, peak growth, {_place(heads, dtype, tokens)}", GROWTH, at_least=False)
            yield Judged(goal, row["peak_bytes"] / theirs["peak_bytes"])


def tables(report: Report) -> str:
    """Markdown: the plot beside the page, the goals, then times, memory and roofline of every series."""
    blocks = ["![Time over tokens, and ratios](attention.png)", peaks_in_words(report["peak_flops"], report["peak_bytes"])]
    if judged := judge(report):
        blocks += ["## Goals", markdown_table(HEAD, [one.cells() for one in judged])]
    for heads, dtype, direction in dict.fromkeys((row["heads"], row["dtype"], row["direction"]) for row in report["rows"]):
        chosen = [row for row in report["rows"] if (row["heads"], row["dtype"], row["direction"]) == (heads, dtype, direction)]
        blocks += [f"## {heads} × {chosen[0]['head_width']}, {dtype}, {direction}", _series_table(chosen)]
        blocks += launches_in_words(chosen)
        blocks += [*_remarks(report, heads, dtype)] if direction == FORWARD else []
    return "\n\n".join(blocks)


def plot(report: Report, path: Path) -> None:
    """Times over tokens, and ratios with their gates."""
    from attention_plot import draw  # matplotlib, which a table does without

    draw(report, path, {tuple(place): limits for *place, limits in SPEED[report["device"]]})


def summary(report: Report) -> Report:
    """What `judge`, the slopes and the crossovers say, as plain data beside the rows."""
    series = dict.fromkeys((row["heads"], row["dtype"]) for row in report["rows"])
    return {
        "goals": goal_rows(judge(report)),
        "exponents": [
            {"heads": heads, "dtype": dtype, "contender": contender, "exponent": exponent}
            for (heads, dtype, contender), exponent in _slopes(report).items()
        ],
        "crossovers": [{"heads": h, "dtype": d, "faster_than_sdpa_from": _crossover(report, h, d)} for h, d in series],
    }


def _by_place(report: Report) -> dict[tuple[int, str, str, int, str], Row]:
    return {(r["heads"], r["dtype"], r["direction"], r["tokens"], r["contender"]): r for r in report["rows"]}


def _place(heads: int, dtype: str, tokens: int) -> str:
    return f"{heads} heads, {dtype}, N = {tokens}"


def _slopes(report: Report) -> dict[tuple[int, str, str], float]:
    """(heads, dtype, contender) -> median over the rounds of the slope between the sizes of SLOPE, forward."""
    rows = _by_place(report)
    found = {}
    for (heads, dtype, direction, tokens, contender), row in rows.items():
        large = rows.get((heads, dtype, direction, SLOPE[1], contender))
        if direction == FORWARD and tokens == SLOPE[0] and large:
            times = (Timing(tuple(one["rounds_ms"])) for one in (row, large))
            found[heads, dtype, contender] = statistics.median(exponents(*times, SLOPE[1] / SLOPE[0]))
    return found


def _crossover(report: Report, heads: int, dtype: str) -> str:
    place = (heads, dtype, FORWARD, SDPA)
    chosen = [row for row in report["rows"] if (row["heads"], row["dtype"], row["direction"], row["contender"]) == place]
    return crossover([row["tokens"] for row in chosen], [row["times_ours"] for row in chosen])


def _series_table(rows: list[Row]) -> str:
    return markdown_table(COLUMNS, [list(_cells(row)) for row in rows])


def _cells(row: Row) -> Iterator[str]:
    yield from (row["contender"], str(row["tokens"]), f"{row['median_ms']:.3g}", f"{row['minimum_ms']:.3g}")
    yield from (f"{row['times_ours']:.2f}", f"{row['peak_bytes'] / 2**20:.3g}")
    yield from (f"{row[share]:.0%}" if share in row else "" for share in ("of_flops", "of_bytes", "of_roofline"))


def _remarks(report: Report, heads: int, dtype: str) -> Iterator[str]:
    slopes = {contender: slope for (h, d, contender), slope in _slopes(report).items() if (h, d) == (heads, dtype)}
    if slopes:
        listed = ", ".join(f"{contender} {slope:.2f}" for contender, slope in slopes.items())
        yield f"Exponent of the time from N = {SLOPE[0]} to {SLOPE[1]}: {listed}."
    chosen = [row for place, row in _by_place(report).items() if place[:3] == (heads, dtype, FORWARD)]
    worst = max(row["difference"] for row in chosen if "difference" in row)
    yield (
        f"Faster than SDPA from N: {_crossover(report, heads, dtype)}. "
        f"The linear ones' outputs agree within {worst:.1e} of the largest value."
    )
