"""The tables of the guidance ablation, made of the JSON's content."""

from __future__ import annotations

import statistics

from arm_report import Report, failures, figure_tables
from measuring import markdown_table

NOT_MEASURED = ("captions", "CLIP patches", "DINO patches")
"""Rows of LinearSR's Tab. 3 whose encoders' weights were not at hand."""


def tables(report: Report) -> str:
    """Markdown: figures of each data set, differences from the first arm seed by seed, and what each arm took."""
    if not report["rows"]:
        return "\n\n".join(failures(report))
    first = (
        f"{report['steps']} iterations, seeds {', '.join(map(str, report['seeds']))}, one thread, {report['parameters']:,} "
        f"parameters. Mean ± standard deviation over the seeds. Of {report['told']['pictures']} pictures "
        f"{report['told']['with_tags']} have tags."
    )
    head = ["", "training, CPU s", "tokens", "tagger, CPU ms a picture", "text encoder, CPU ms a text", "their weights, MiB"]
    rows = [*(_cost(report, arm) for arm in report["arms"]), *([name, *_missing(head)] for name in NOT_MEASURED)]
    costs = markdown_table(head, rows)
    return "\n\n".join([first, *figure_tables(report), costs, *failures(report)])


def _cost(report: Report, arm: str) -> list[str]:
    """Of a picture with tags; training is without encoders, whose work is done once before."""
    costs, trained = (
        report["costs"],
        [row["cpu_seconds"] for row in report["rows"] if row["name"] == arm and row["cpu_seconds"]],
    )
    tagged, told = arm not in ("none", "fixed tags"), arm != "none"
    weights = costs["tagger_bytes"] * tagged + costs["encoder_bytes"] * told
    return [
        arm,
        f"{statistics.fmean(trained):.0f}" if trained else "–",
        f"{costs['tokens']:.1f}" if tagged else f"{costs['fixed_tokens'] * told}",
        f"{1e3 * costs['tagging_seconds'] * tagged:.0f}",
        f"{1e3 * costs['encoding_seconds'] * told:.0f}",
        f"{weights / 2**20:.0f}",
    ]


def _missing(head: list[str]) -> list[str]:
    return ["not measured", *["–"] * (len(head) - 2)]
