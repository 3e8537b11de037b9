"""Explanations and differences on a terminal, and as plain lines where the output goes elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from linearsr.core.errors import ConfigError
from linearsr.core.inspection.differences import ABSENT, Difference, differences
from linearsr.core.inspection.explaining import Explanation, explain
from linearsr.core.inspection.sources import resolve

COLORS = {"added": "green", "removed": "red", "changed": "yellow"}


def run_explain(key: str, source: str | None, options: Sequence[str]) -> None:
    """Prints what is known of a key. Raises ConfigError for an unknown one, or for options without a config."""
    if options and source is None:
        raise ConfigError("--cfg-options change a config; name it with --config")
    show_explanation(explain(key, source, options), Console())


def run_show(source: str, options: Sequence[str]) -> None:
    """Prints a config that runs again as it is."""
    print(resolve(source, options).pretty_text, end="")


def run_diff(before: str, after: str, *, as_json: bool = False) -> int:
    """Prints what differs. Returns 0 if nothing does, else 1."""
    found = list(differences(resolve(before).to_dict(), resolve(after).to_dict()))
    if as_json:
        print(to_json(found))
    else:
        show_differences(found, (before, after), Console())
    return 1 if found else 0


def show_explanation(explanation: Explanation, console: Console) -> None:
    """The key, then `label  text`; a text of several lines is set in."""
    console.print(Text(explanation.key, style="bold"), soft_wrap=True)
    width = max(map(len, explanation.rows))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", min_width=width)
    table.add_column(overflow="fold")
    for label, text in explanation.rows.items():
        if console.is_terminal:
            table.add_row(f"  {label}", Text(text))
        else:
            lines = text.splitlines() or [""]
            joined = f"\n{'':{width + 4}}".join(lines)
            console.print(Text(f"  {label:{width}}  {joined}"), soft_wrap=True)
    if console.is_terminal:
        console.print(table)


def show_differences(found: Sequence[Difference], names: tuple[str, str], console: Console) -> None:
    """A table on a terminal, otherwise a line for each: `key: 4 -> 12`, `key: added 3`, `key: removed 3`."""
    if not console.is_terminal:
        for difference in found:
            console.print(Text(as_line(difference)), soft_wrap=True)
        return
    table = Table()
    for title in ("key", *names):
        table.add_column(title, overflow="fold")
    for difference in found:
        cells = (Text("" if value is ABSENT else repr(value)) for value in (difference.before, difference.after))
        table.add_row(difference.key, *cells, style=COLORS[difference.change])
    console.print(table if found else "no difference")


def as_line(difference: Difference) -> str:
    if difference.change == "changed":
        return f"{difference.key}: {difference.before!r} -> {difference.after!r}"
    value = difference.before if difference.after is ABSENT else difference.after
    return f"{difference.key}: {difference.change} {value!r}"


def to_json(found: Sequence[Difference]) -> str:
    """A list of {key, change, before, after}; the side that lacks the key is left out."""
    return json.dumps([_plain(difference) for difference in found], indent=2, default=str)


def _plain(difference: Difference) -> dict[str, Any]:
    sides = {"before": difference.before, "after": difference.after}
    return {"key": difference.key, "change": difference.change} | {
        name: value for name, value in sides.items() if value is not ABSENT
    }
