"""The findings for people, as a table, and for programs, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from linearsr.core.doctor.examining import Findings, healthy

COLOURS = {"ok": "green", "absent": "dim", "warning": "yellow", "broken": "bold red"}


def report_json(findings: Findings) -> str:
    """`{"healthy": …, "findings": {area: [{name, state, detail, mend}, …]}}`"""
    areas = {area: [asdict(finding) for finding in found] for area, found in findings.items()}
    return json.dumps({"healthy": healthy(findings), "findings": areas}, indent=2)


def print_report(findings: Findings) -> None:
    """A table for each area, then the verdict. Without rich, which may be what is broken, the same in plain lines."""
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table
    except Exception:  # its findings say why
        print("\n".join([*_lines(findings), verdict(findings)]))
        return
    console = Console(highlight=False)
    for area, found in findings.items():
        table = Table(title=area, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0), title_style="bold")
        for finding in found:
            state = f"[{COLOURS[finding.state]}]{finding.state}[/]"
            mend = f"\n→ {escape(finding.mend)}" if finding.mend else ""
            table.add_row(state, escape(finding.name), escape(finding.detail) + mend)
        console.print(table)
    console.print(verdict(findings))


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
