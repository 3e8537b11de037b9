"""The tables of the experts' ablation, made of the JSON's content."""

from __future__ import annotations

import statistics

from arm_report import Report, failures, figure_tables, names
from measuring import markdown_table


def tables(report: Report) -> str:
    """Markdown: figures of each data set, differences from the first arm seed by seed, and what each arm took."""
    if not report["rows"]:
        return "\n\n".join(failures(report))
    seeds = ", ".join(map(str, report["seeds"]))
    first = (
        f"{report['steps']} iterations of one dense model, then {report['steps']} of each arm from there, seeds {seeds}, one "
        "thread. Mean ± standard deviation over the seeds."
    )
    head = ["", "parameters", "training, CPU s", "share of the samples by expert, low to high noise"]
    costs = markdown_table(head, [_cost(report, name) for name in names(report)])
    return "\n\n".join([first, *figure_tables(report), costs, *failures(report)])


def _cost(report: Report, name: str) -> list[str]:
    rows = [row for row in report["rows"] if row["name"] == name]
    shares = [statistics.fmean(by) for by in zip(*(row["shares"] for row in rows), strict=True)]
    return [
        name,
        f"{rows[0]['parameters']:,}",
        f"{statistics.fmean(row['cpu_seconds'] for row in rows):.0f}",
        " / ".join(f"{100 * share:.0f} %" for share in shares),
    ]
