"""Figures and tables of the knee benchmark, made of its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from measuring import Goal, Judged, markdown_table

Record = dict[str, Any]

SURE = 0.8
"""Confidence above which answers are counted apart."""
GATED = "ours, three metrics"
INSIDE = Goal("inside the oscillation", 0.5, at_least=False, unit=" %")
MEDIAN = Goal("median error, of 60 evaluations", 3, at_least=False, unit="")


def summarise(records: Sequence[Record]) -> list[Record]:
    """One row for each method over everything, each kind and each noise."""
    groups: dict[str, Callable[[Record], bool]] = {"all": lambda record: True}
    for key in ("kind", "noise"):
        for value in dict.fromkeys(record[key] for record in records):
            groups[f"{key} {value}"] = lambda record, key=key, value=value: record[key] == value
    methods = dict.fromkeys(record["method"] for record in records)
    return [
        {"method": method, "curves": group} | _figures([r for r in records if r["method"] == method and chosen(r)])
        for group, chosen in groups.items()
        for method in methods
    ]


def _figures(records: Sequence[Record]) -> Record:
    """Shares in per cent; errors in evaluations, of those that gave an answer."""
    errors = np.array([r["error"] for r in records if r["error"] is not None])
    figures = {
        "count": len(records),
        "inside": 100 * float(np.mean([r["inside"] for r in records])),
        "without": 100 * float(np.mean([r["error"] is None for r in records])),
        "median_absolute": _quantile(np.abs(errors), 0.5),
        "p90_absolute": _quantile(np.abs(errors), 0.9),
        "median": _quantile(errors, 0.5),
    }
    if all("confirmed" in r for r in records):
        onsets = np.array([r["onset_error"] for r in records if r["onset_error"] is not None])
        figures |= {
            "confirmed": 100 * float(np.mean([r["confirmed"] for r in records])),
            "superseded": 100 * float(np.mean([r["superseded"] for r in records])),
            "confidence": float(np.mean([r["confidence"] for r in records])),
            "p90_sure": _quantile(np.abs([r["error"] for r in records if _sure(r)]), 0.9),
            "p90_unsure": _quantile(np.abs([r["error"] for r in records if r["error"] is not None and not _sure(r)]), 0.9),
            "onset_seen": 100 * len(onsets) / len(records),
            "onset_median": _quantile(onsets, 0.5),
            "onset_p90": _quantile(onsets, 0.9),
        }
    return figures


def _sure(record: Record) -> bool:
    return record["error"] is not None and record["confidence"] >= SURE


def _quantile(values: np.ndarray, share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None


def judge(rows: Sequence[Record]) -> list[Judged]:
    mine = next(row for row in rows if (row["method"], row["curves"]) == (GATED, "all"))
    return [Judged(INSIDE, mine["inside"]), Judged(MEDIAN, mine["median_absolute"])]


def tables(report: dict[str, Any]) -> str:
    """Markdown: everything, then the median and p90 by kind and noise, then what only the detector has."""
    rows = report["rows"]
    everything = [row for row in rows if row["curves"] == "all"]
    head = ["", "inside the oscillation", "no answer", "median of the absolute error", "90 % within", "median error"]
    keys = ("inside", "without", "median_absolute", "p90_absolute", "median")
    units = ("{:.1f} %", "{:.1f} %", "{:.1f}", "{:.1f}", "{:+.1f}")
    first, count = report["first_seed"], report["count"]
    seeds = f"{count} runs of 60 evaluations, seeds {first} to {first + count - 1}."
    blocks = [seeds, markdown_table(head, [[row["method"], *_cells(row, keys, units)] for row in everything])]
    groups = [group for group in dict.fromkeys(row["curves"] for row in rows) if group != "all"]
    blocks.append("Median absolute error (90 % within; inside the oscillation):")
    by_group = [[row["method"], *(_brief(rows, row["method"], group) for group in groups)] for row in everything]
    blocks.append(markdown_table(["", *groups], by_group))
    ours = [row for row in everything if "confirmed" in row]
    head = ["", "confirmed", "superseded", "mean confidence", f"90 % within, confidence ≥ {SURE}", "below it"]
    head += ["onset seen", "its median delay", "90 % of delays within"]
    keys = ("confirmed", "superseded", "confidence", "p90_sure", "p90_unsure", "onset_seen", "onset_median", "onset_p90")
    units = ("{:.1f} %", "{:.1f} %", "{:.2f}", "{:.1f}", "{:.1f}", "{:.1f} %", "{:+.1f}", "{:+.1f}")
    blocks.append(markdown_table(head, [[row["method"], *_cells(row, keys, units)] for row in ours]))
    blocks.append(markdown_table(["goal", "gate", "aim", "measured", ""], [one.cells() for one in judge(rows)]))
    return "\n\n".join(blocks)


def _cells(row: Record, keys: Iterable[str], units: Iterable[str]) -> list[str]:
    return ["–" if row[key] is None else unit.format(row[key]) for key, unit in zip(keys, units, strict=True)]


def _brief(rows: Sequence[Record], method: str, group: str) -> str:
    row = next(row for row in rows if (row["method"], row["curves"]) == (method, group))
    if row["median_absolute"] is None:
        return "–"
    return f"{row['median_absolute']:.1f} ({row['p90_absolute']:.1f}; {row['inside']:.1f} %)"
