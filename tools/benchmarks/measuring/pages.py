"""Tables of a page, made from a benchmark's JSON and put between two marks of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from linearsr.core.atomic import write_text
from linearsr.core.errors import DataError

BEGIN, END = "<!-- made by", "<!-- end -->"
"""The first mark goes on with the command that makes what stands below it."""


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def launches_in_words(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for every contender whose work on a GPU could not be replayed."""
    return [
        f"{row['contender']} at N = {row['tokens']} was launched call by call, and launching is in its time: no CUDA graph "
        f"could be captured ({row['not_captured']})."
        for row in rows
        if "not_captured" in row
    ]


def fill_page(page: str | Path, text: str) -> None:
    """Replaces what stands between the marks. Raises DataError for a page without them."""
    before, mark, rest = Path(page).read_text().partition(BEGIN)
    command, line, rest = rest.partition("\n")
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise DataError(f"{page} has no place for the tables; wanted a line {BEGIN} COMMAND --> and one {END}")
    write_text(page, f"{before}{mark}{command}{line}\n{text.strip()}\n\n{end}{after}")
