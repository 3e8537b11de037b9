"""What the figures of the sampling benchmark say. Everything is made of the JSON's content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from measuring import Goal, Judged, goal_rows, markdown_table
from measuring.goals import HEAD

Report = dict[str, Any]
Row = dict[str, Any]

EVALUATION_MS = {"0.6B": 3.0, "1.6B": 6.5}
PICTURE_MS = {"0.6B": 110.0, "1.6B": 190.0}
LARGE_MS, LARGE_GB = 35.0, 0.25
OF_EAGER, OF_FASTEST = 4.0, 1.25
MFU, OF_TRAINING, MEMORY = 0.45, 1.5, 0.6
"""At most, at least: of an H200 (its goals were set by a floor of 790 TFLOP/s and 4.3 TB/s)."""
FASTEST, FASTEST_ALONE = "ours, compiled, graph", "ours, compiled, graph, prepare + evaluation"
"""Of whole pictures, and of one evaluation that has to prepare, as diffusers' model does in each."""
BATCHES = (32, 8)
"""Of the training steps that are judged: one that fills an H200, and one for which diffusers has room on 80 GB."""
NOT_RUN = "not run"
COLUMNS = ["", "median ms", "fastest ms", "diffusers ÷ it", "fastest of diffusers ÷ it", "peak GB", "FLOP/s of the peak"]


def judge(report: Report) -> list[Judged]:
    """Every goal for which there are figures."""
    rows = {(row["model"], row["what"], row["contender"]): row for row in report["rows"]}
    return [Judged(goal, figure) for goal, figure in _figures(rows, report["peak_flops"]) if figure is not None]


def goals() -> list[Goal]:
    """All, whether there are figures or not."""
    return [goal for goal, _ in _figures({}, 1.0)]


def states(report: Report) -> list[Row]:
    """Plain data: every goal with its figure and verdict, "not run" where there is no figure."""
    judged = {row["name"]: row for row in goal_rows(judge(report))}
    return [judged.get(goal.name) or vars(goal) | {"figure": None, "verdict": NOT_RUN} for goal in goals()]


def _figures(rows: dict[tuple[str, str, str], Row], peak: float) -> Iterator[tuple[Goal, float | None]]:
    for model, most in EVALUATION_MS.items():
        row = rows.get((model, "an evaluation", FASTEST_ALONE), {})
        yield Goal(f"{model}, prepare + evaluation at 1024²", most, at_least=False, unit=" ms"), row.get("median_ms")
        yield Goal(f"{model}, diffusers ÷ ours", OF_EAGER), row.get("of_peer")
        yield Goal(f"{model}, fastest of diffusers ÷ ours", OF_FASTEST), row.get("of_fastest")
        row = rows.get((model, "20 steps and decoding", FASTEST), {})
        yield (
            Goal(f"{model}, 20 steps and decoding at 1024²", PICTURE_MS[model], at_least=False, unit=" ms"),
            row.get("median_ms"),
        )
    row = rows.get(("0.6B", "an evaluation at 4096²", "ours"), {})
    yield Goal("0.6B, an evaluation at 4096²", LARGE_MS, at_least=False, unit=" ms"), row.get("median_ms")
    gigabytes = row["peak_bytes"] / 1e9 if "peak_bytes" in row else None
    yield Goal("0.6B, activations at 4096²", LARGE_GB, at_least=False, unit=" GB"), gigabytes
    for batch in BATCHES:
        row, other = (rows.get(("0.6B", training_step(batch), name), {}) for name in ("ours", "diffusers"))
        if batch == max(BATCHES):
            yield Goal("0.6B, training, FLOP/s of the peak", MFU, unit=""), _share(row, peak) if "flops" in row else None
        yield Goal(f"0.6B, training on {batch} pictures, diffusers ÷ ours", OF_TRAINING), row.get("of_peer")
        memory = row["peak_bytes"] / other["peak_bytes"] if "peak_bytes" in row and "peak_bytes" in other else None
        yield Goal(f"0.6B, training on {batch} pictures, memory of diffusers'", MEMORY, at_least=False), memory


def training_step(batch: int) -> str:
    """What a row of it measures."""
    return f"a training step of {batch} pictures"


def tables(report: Report) -> str:
    """Markdown: the goals, those that have no figure too, then every row."""
    judged = {one.goal.name: one.cells() for one in judge(report)}
    missing = [[goal.name, *["–"] * 3, NOT_RUN] for goal in goals() if goal.name not in judged]
    device = report["record"]["device"]
    blocks = [f"On {device}; peak {report['peak_flops'] / 1e12:.3g} TFLOP/s in bfloat16 ({report['peak_source']})."]
    if "H200" not in device:
        blocks += ["The goals are an H200's."]
    blocks += ["## Goals", markdown_table(HEAD, [*judged.values(), *missing])]
    for model, what in dict.fromkeys((row["model"], row["what"]) for row in report["rows"]):
        rows = [row for row in report["rows"] if (row["model"], row["what"]) == (model, what)]
        blocks += [f"## {model}, {what}", markdown_table(COLUMNS, [_cells(row, report["peak_flops"]) for row in rows])]
    return "\n\n".join([*blocks, *(f"{name} failed: {why}" for name, why in report["failed"].items())])


def _cells(row: Row, peak: float) -> list[str]:
    ratios = [f"{row[key]:.2f}" if key in row else "" for key in ("of_peer", "of_fastest")]
    memory = f"{row['peak_bytes'] / 1e9:.3g}" if "peak_bytes" in row else ""
    share = f"{_share(row, peak):.0%}" if "flops" in row else ""
    return [row["contender"], f"{row['median_ms']:.4g}", f"{row['minimum_ms']:.4g}", *ratios, memory, share]


def _share(row: Row, peak: float) -> float:
    return row["flops"] / (row["median_ms"] / 1000) / peak
