"""The findings for people, as a table, and for programs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from linearsr.core.doctor.examining import Findings, healthy
from linearsr.core.doctor.finding import Finding

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"ok": "green", "absent": "dim", "warning": "yellow", "broken": "bold red"}


def report_json(findings: Findings) -> str:
    """`{"healthy": …, "findings": {area: [{name, state, detail, mend}, …]}}`"""
    areas = {area: [asdict(finding) for finding in found] for area, found in findings.items()}
    return json.dumps({"healthy": healthy(findings), "findings": areas}, indent=2)


def print_report(findings: Findings) -> None:
    """On a terminal a table for each area; elsewhere, and without rich, which may be what is broken, one line for each
    finding: `area: state: name: detail -> mend`. The verdict last."""
    try:
        from rich.console import Console

        console = Console(highlight=False)
    except Exception:  # its findings say why
        console = None
    if console is None or not console.is_terminal:
        print("\n".join([*_lines(findings), verdict(findings)]))
        return
    for area, found in findings.items():
        console.print(_table(area, found))
    console.print(verdict(findings))


def _table(area: str, found: Sequence[Finding]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=area, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0), title_style="bold")
    for finding in found:
        state = f"[{COLOURS[finding.state]}]{finding.state}[/]"
        mend = f"\n→ {escape(finding.mend)}" if finding.mend else ""
        table.add_row(state, escape(finding.name), escape(finding.detail) + mend)
    return table


def verdict(findings: Findings) -> str:
    states = [finding.state for found in findings.values() for finding in found]
    counted = ", ".join(f"{states.count(state)} {state}" for state in ("broken", "warning", "absent") if state in states)
    return f"{'nothing needed is broken' if healthy(findings) else 'something needed is broken'} ({counted or 'all ok'})"


def _lines(findings: Findings) -> list[str]:
    return [
        f"{area}: {finding.state}: {finding.name}: {finding.detail}" + (f" -> {finding.mend}" if finding.mend else "")
        for area, found in findings.items()
        for finding in found
    ]
