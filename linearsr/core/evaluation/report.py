"""Rows of figures, for a file and for the terminal."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from linearsr.core.atomic import write_text
from linearsr.core.evaluation.summary import Row

COLUMNS: Final = {
    "psnr_y": ("PSNR-Y", 2),
    "psnr_rgb": ("PSNR-RGB", 2),
    "ssim_y": ("SSIM-Y", 4),
    "ssim_rgb": ("SSIM-RGB", 4),
    "niqe": ("NIQE", 2),
    "seconds_per_image": ("s/picture", 3),
}
"""Figure -> title and decimals, in the table's order; those that no row has are left out."""


WIDTH = 110
"""Columns of a table that goes to a file or a pipe, where there is no terminal to ask."""


def write_metrics_json(
    path: str | Path, rows: Sequence[Row], record: Mapping[str, Any], figures: Mapping[str, float] | None = None
) -> None:
    """{"record": how the figures were made, "rows": …, "figures": …}, whole or not at all.

    figures: flat, by name, of every metric, a third party's too. Inf and NaN are written as "inf" and "nan".
    """
    text = json.dumps(_plain({"record": record, "rows": rows, "figures": figures or {}}), indent=2, allow_nan=False)
    write_text(path, text + "\n")


def print_table(rows: Sequence[Row], console: Console | None = None) -> None:
    """One line per row; on the given console, else on standard output."""
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    table = Table("data set", "method", "steps", "pictures", "crop")
    for name in shown:
        table.add_column(COLUMNS[name][0], justify="right")
    for row in rows:
        steps = "" if row["num_steps"] is None else str(row["num_steps"])
        first = [row["dataset"], row["method"], steps, str(row["num_images"]), str(row["crop_border"])]
        table.add_row(*first, *(_figure(row.get(name), COLUMNS[name][1]) for name in shown))
    (console or Console(width=None if sys.stdout.isatty() else WIDTH)).print(table)


def _figure(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def _plain(value: Any) -> Any:
    """JSON has no Inf and NaN: they become strings, which `float` reads back."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
