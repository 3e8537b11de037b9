"""Gates that must be passed and aims that should be reached, beside what was measured."""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 110
"""Columns of a table that goes to a file or a pipe."""
COLOURS = {"aim reached": "green", "gate passed": "cyan", "missed": "red"}


@dataclass(frozen=True)
class Goal:
    """gate: what the figure must be; aim: what it should be, None where the gate is all; at_least: False for "at most"."""

    name: str
    gate: float
    aim: float | None = None
    at_least: bool = True
    unit: str = "×"


@dataclass(frozen=True)
class Judged:
    goal: Goal
    figure: float

    @property
    def verdict(self) -> str:
        reached = operator.ge if self.goal.at_least else operator.le
        if not reached(self.figure, self.goal.gate):
            return "missed"
        return "aim reached" if self.goal.aim is not None and reached(self.figure, self.goal.aim) else "gate passed"

    def cells(self) -> list[str]:
        """Goal, gate, aim, figure, verdict."""
        sign = "≥" if self.goal.at_least else "≤"
        limits = ["–" if limit is None else f"{sign} {limit:g}{self.goal.unit}" for limit in (self.goal.gate, self.goal.aim)]
        return [self.goal.name, *limits, f"{self.figure:.3g}{self.goal.unit}", self.verdict]


HEAD = ["goal", "gate", "aim", "measured", ""]


def goal_rows(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Plain data, for JSON."""
    return [vars(one.goal) | {"figure": one.figure, "verdict": one.verdict} for one in judged]


def print_goals(judged: Sequence[Judged], console: Console | None = None) -> None:
    """On the given console, else on standard output."""
    console = console or Console(width=None if sys.stdout.isatty() else WIDTH)
    if not judged:
        console.print("no goal is set for these sizes")
        return
    table = Table(*HEAD)
    for one in judged:
        *cells, verdict = one.cells()
        table.add_row(*cells, f"[{COLOURS[verdict]}]{verdict}[/]")
    console.print(table)
