"""The table of variants, made of the JSON's content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from measuring import markdown_table


def tables(report: dict[str, Any]) -> str:
    """Markdown: one row each, the best first by the mean over the data sets."""
    rows = sorted(report["rows"], key=lambda row: -sum(row["psnr_y"].values()))
    datasets = list(dict.fromkeys(name for row in rows for name in row["psnr_y"]))
    head = ["attention", *(f"PSNR-Y {name}" for name in datasets), "parameters", "training, CPU s"]
    head += ["exponent of FLOPs", "of peak bytes", "of time"]
    first = (
        f"`{report['config']}`, {report['steps']} steps, seed {report['seed']}, one thread; tested at one step, border and "
        "rounding as in the config."
    )
    blocks = [first, markdown_table(head, [*_bicubic(rows, datasets), *(list(_cells(row, datasets)) for row in rows)])]
    blocks += [f"{name} did not finish: {reason}" for name, reason in report["failed"].items()]
    return "\n\n".join(blocks)


def _bicubic(rows: Sequence[dict[str, Any]], datasets: Sequence[str]) -> Iterator[list[str]]:
    if rows:
        yield ["bicubic", *(f"{rows[0]['bicubic'][name]:.2f}" for name in datasets), "", "", "", "", ""]


def _cells(row: dict[str, Any], datasets: Sequence[str]) -> Iterator[str]:
    yield row["name"]
    yield from (f"{row['psnr_y'][name]:.2f}" for name in datasets)
    yield from (f"{row['parameters']:,}", f"{row['cpu_seconds']:.0f}")
    yield from (f"{row['exponents'][name]:.2f}" for name in ("flops", "peak_bytes", "milliseconds"))
