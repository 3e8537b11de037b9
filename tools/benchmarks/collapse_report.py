"""The tables of the collapse, made of the JSON's content."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from measuring import markdown_table

Report = dict[str, Any]
Row = dict[str, Any]
NONE = "–"


def tables(report: Report) -> str:
    """Markdown: the long run's checkpoints, where fine-tunings met a number that is not finite, and their PSNR-Y."""
    knee, seeds = report["knee"], report["seeds"]
    told = f"confirmed at {knee['confirmed_at']}" if knee["confirmed"] else "not confirmed"
    onset = NONE if knee["onset_step"] is None else knee["onset_step"]
    first = (
        f"`{report['config']}` at a constant learning rate, {report['steps']} steps, an evaluation each {report['every']}: "
        f"knee at step {knee['knee_step']}, {told}, confidence {knee['confidence']:.0%}, onset of an oscillation {onset}. "
        f"Fine-tunings of {report['tuning_steps']} steps, seeds {', '.join(map(str, seeds))}."
    )
    return "\n\n".join(
        [
            first,
            checkpoints(report),
            f"The same with a weight decay of {report['decayed']['decay']:g} in the long run, {report['decay_steps']} steps:",
            decayed(report),
            "First iteration whose loss or gradient is not finite, one number a seed (– none):",
            by_start(report, _first_non_finite),
            "PSNR-Y after fine-tuning, mean ± standard deviation over seeds (change against before); of those that ended:",
            by_start(report, _psnr_after),
            "Largest bare denominator in crops of 1,024 tokens at the last checkpoint, one each five steps, of any seed:",
            by_start(report, _last_denominator),
            *(f"{name} did not finish: {reason}" for name, reason in report["failed"].items()),
        ]
    )


def checkpoints(report: Report) -> str:
    """A row for each start."""
    steps = sorted(report["start_steps"].items(), key=lambda item: item[1])
    return _looked_at([(f"{start}, {step}", step, report) for start, step in steps])


def decayed(report: Report) -> str:
    """Rows of the last step that both long runs have a look at."""
    last = report["decayed"]["looks"][-1]["step"]
    return _looked_at(
        [(f"no decay, {last}", last, report), (f"decay {report['decayed']['decay']:g}, {last}", last, report["decayed"])]
    )


def _looked_at(chosen: Sequence[tuple[str, int, Report]]) -> str:
    """chosen: (name of the row, step, the run's evaluations and looks)."""
    sizes = [f"denominator, N = {sums['tokens']:.0f}" for sums in chosen[0][2]["looks"][0]["sums"]]
    rows = []
    for name, step, run in chosen:
        look = next(look for look in run["looks"] if look["step"] == step)
        one = next(one for one in run["evaluations"] if one["step"] == step)
        figures = [f"{one['psnr_y']:.3f}", f"{one['ssim_y']:.4f}", f"{look['w_q']:.2f}", f"{look['w_k']:.2f}"]
        sums = [f"{sums['denominator']:,.0f}" for sums in look["sums"]]
        rows.append([name, *figures, *sums, f"{look['spoiled']} of {look['pictures']}"])
    return markdown_table(["checkpoint", "PSNR-Y", "SSIM-Y", "\\|W_q\\|", "\\|W_k\\|", *sizes, "spoiled"], rows)


def by_start(report: Report, cell: Callable[[Sequence[Row]], str]) -> str:
    """A row for each condition, a column for each start; a cell is made of its seeds' rows, empty where nothing was run."""
    starts = sorted({row["start"] for row in report["rows"]}, key=report["start_steps"].__getitem__)
    chosen: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in report["rows"]:
        chosen[row["condition"], row["start"]].append(row)
    cells = {where: cell(rows) for where, rows in chosen.items()}
    rows = [[condition, *(cells.get((condition, start), "") for start in starts)] for condition in report["conditions"]]
    return markdown_table(["condition", *(f"from {start}" for start in starts)], rows)


def _first_non_finite(rows: Sequence[Row]) -> str:
    return ", ".join(NONE if row["first_non_finite"] is None else str(row["first_non_finite"]) for row in rows)


def _psnr_after(rows: Sequence[Row]) -> str:
    ended = [row for row in rows if row["after"] is not None]
    if not ended:
        return NONE
    after = [row["after"]["psnr_y"] for row in ended]
    mean, change = statistics.mean(after), statistics.mean(after) - ended[0]["before"]["psnr_y"]
    spread = f" ± {statistics.stdev(after):.3f}" if len(after) > 1 else ""
    return f"{mean:.3f}{spread} ({change:+.3f})"


def _last_denominator(rows: Sequence[Row]) -> str:
    seen = [row["last"]["denominator"] for row in rows if row["last"] is not None]
    return f"{max(seen):,.0f}" if seen else NONE
