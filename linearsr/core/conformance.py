"""The report that every room's `check_*` fills: one finding per law, with the numbers."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from linearsr.core.errors import LinearSRError

if TYPE_CHECKING:
    from rich.console import Group

REFUSALS = (LinearSRError, ValueError)
"""What a component refuses with: an error of ours, or ValueError, for plugins that do not import linearsr."""

COLOURS = {"passed": "green", "failed": "bold red", "skipped": "dim"}


@dataclass(frozen=True)
class Finding:
    """One law and what became of it. status: "passed", "failed" or "skipped"; detail: the numbers or the reason."""

    law: str
    status: str
    detail: str = ""


class LawSkippedError(Exception):
    """Raised by a law that does not apply to this component, with the reason."""


@dataclass
class ConformanceReport:
    """Filled law by law; a law that fails does not keep the others from being tried.

    seed, device: of inputs and weights, where the check was given one
    """

    subject: str
    findings: list[Finding] = field(default_factory=list)
    seed: int | None = None
    device: str | None = None

    def hold(self, law: str, test: Callable[[], Any]) -> None:
        """Runs `test`. It fails by raising; what it returns, if anything, becomes the detail."""
        try:
            self.findings.append(Finding(law, "passed", str(test() or "")))
        except LawSkippedError as reason:
            self.findings.append(Finding(law, "skipped", str(reason)))
        except Exception as error:  # a plugin may fail in any way; the report is where that is said
            self.findings.append(Finding(law, "failed", f"{type(error).__name__}: {error}"))

    @property
    def failed(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.status == "failed"]

    @property
    def passed(self) -> bool:
        return bool(self.findings) and not self.failed

    def require(self) -> ConformanceReport:
        """Raises AssertionError that lists every law broken; returns itself otherwise."""
        if not self.passed:
            raise AssertionError(str(self))
        return self

    @property
    def verdict(self) -> str:
        """One line: "conforms" or how many laws are broken."""
        return f"{len(self.failed)} of {len(self.findings)} laws broken" if self.failed else "conforms"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: subject, passed, verdict, findings [{law, status, detail}], environment {…, seed, device}."""
        return {
            "subject": self.subject,
            "passed": self.passed,
            "verdict": self.verdict,
            "findings": [asdict(finding) for finding in self.findings],
            "environment": {**_versions(), "seed": self.seed, "device": self.device},
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        marks = {"passed": "ok  ", "failed": "FAIL", "skipped": "--  "}
        lines = [f"  {marks[f.status]} {f.law}" + (f": {f.detail}" if f.detail else "") for f in self.findings]
        return "\n".join([f"{self.subject}: {self.verdict}", *lines])

    def __rich__(self) -> Group:
        """A table of all laws; below it the broken ones again, each with its numbers."""
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        table = Table(title=escape(self.subject), title_justify="left")
        for column in ("", "law", "found"):
            table.add_column(column)
        for finding in self.findings:
            table.add_row(f"[{COLOURS[finding.status]}]{finding.status}[/]", escape(finding.law), escape(finding.detail))
        style = COLOURS["failed" if self.failed else "passed"]
        broken = [Text(f"  {finding.law}: {finding.detail}") for finding in self.failed]
        return Group(table, Text(f"{self.subject}: {self.verdict}", style), *broken)


def _versions() -> dict[str, str]:
    import torch  # here, so that a report of plain figures needs none

    from linearsr import __version__

    return {"linearsr": __version__, "torch": torch.__version__, "python": platform.python_version()}


def close(name: str, got: Any, want: Any, tolerance: float) -> str:
    """Relative to the largest magnitude of `want`; raises AssertionError with both numbers, returns the figure."""
    got64, want64 = got.double(), want.double()
    if got64.shape != want64.shape:
        raise AssertionError(f"{name} is {list(got.shape)}, wanted {list(want.shape)}")
    scale = want64.abs().max().item() if want64.numel() else 0.0
    worst = (got64 - want64).abs().max().item() if want64.numel() else 0.0
    ratio = worst / scale if scale > 0 else worst
    if not ratio <= tolerance:
        raise AssertionError(f"{name} differs by {ratio:.2e} of its largest value, allowed {tolerance:.0e}")
    return f"{name} {ratio:.1e} ≤ {tolerance:.0e}"


def refused(attempt: Callable[[], object]) -> str:
    """The message of what `attempt` raises of REFUSALS; AssertionError if it raises none."""
    try:
        attempt()
    except REFUSALS as error:
        return str(error)
    raise AssertionError("was accepted; wanted a LinearSRError or a ValueError")
