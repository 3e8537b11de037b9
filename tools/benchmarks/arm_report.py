"""Tables of an ablation's arms over seeds: figures of each data set, and differences from the first arm seed by seed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from measuring import markdown_table

Report = dict[str, Any]
"""rows: {"name", "seed", "figures": [{"dataset", "method", "num_steps", measure: value}]}; arms: names,
of which the first is what the others are compared with."""
TITLES = {"psnr_y": ("PSNR-Y", 3), "niqe": ("NIQE", 2)}
"""Title and decimals."""


def figure_tables(report: Report) -> Iterator[str]:
    """Markdown: two tables for each data set."""
    for dataset in datasets(report):
        head = [dataset, *(f"{TITLES[measure][0]}, {steps} step{'s' * (steps > 1)}" for measure, steps in columns(report))]
        yield markdown_table(head, [_bicubic(report, dataset), *_figures(report, dataset)])
        if len(report["arms"]) > 1:
            head[0] = f"{dataset}, less {report['arms'][0]} of the same seed"
            yield markdown_table(head, list(_differences(report, dataset)))


def failures(report: Report) -> list[str]:
    return [f"{name} did not finish: {reason}" for name, reason in report["failed"].items()]


def names(report: Report) -> list[str]:
    """Of the rows, each once."""
    return list(dict.fromkeys(row["name"] for row in report["rows"]))


def datasets(report: Report) -> list[str]:
    return list(dict.fromkeys(figure["dataset"] for figure in report["rows"][0]["figures"]))


def columns(report: Report) -> list[tuple[str, int]]:
    """(measure, steps) of everything that was measured."""
    figures = [figure for figure in report["rows"][0]["figures"] if figure["method"] == "model"]
    steps = list(dict.fromkeys(figure["num_steps"] for figure in figures))
    return [(m, n) for m in TITLES for n in steps if any(f[m] is not None for f in figures if f["num_steps"] == n)]


def values(report: Report, name: str, dataset: str, measure: str, steps: int | None) -> dict[int, float]:
    """By seed. steps: None for bicubic's."""
    return {
        row["seed"]: float(figure[measure])
        for row in report["rows"]
        if row["name"] == name
        for figure in row["figures"]
        if (figure["dataset"], figure["num_steps"]) == (dataset, steps) and figure[measure] is not None
    }


def differences(report: Report, name: str, dataset: str, measure: str, steps: int) -> list[float]:
    """From the first arm, of the seeds that both have."""
    base = values(report, report["arms"][0], dataset, measure, steps)
    return [value - base[seed] for seed, value in values(report, name, dataset, measure, steps).items() if seed in base]


def _bicubic(report: Report, dataset: str) -> list[str]:
    found = [values(report, report["rows"][0]["name"], dataset, measure, None) for measure, _ in columns(report)]
    return [
        "bicubic",
        *(_mean(list(by.values())[:1], measure) for by, (measure, _) in zip(found, columns(report), strict=True)),
    ]


def _figures(report: Report, dataset: str) -> Iterator[list[str]]:
    for name in names(report):
        cells = [_mean(list(values(report, name, dataset, m, n).values()), m) for m, n in columns(report)]
        yield [name, *cells]


def _differences(report: Report, dataset: str) -> Iterator[list[str]]:
    for name in report["arms"][1:]:
        yield [name, *(_mean(differences(report, name, dataset, m, n), m, sign="+") for m, n in columns(report))]


def _mean(found: Sequence[float], measure: str, sign: str = "") -> str:
    if not found:
        return "–"
    decimals = TITLES[measure][1]
    spread = f" ± {statistics.stdev(found):.{decimals}f}" if len(found) > 1 else ""
    return f"{statistics.fmean(found):{sign}.{decimals}f}{spread}"
