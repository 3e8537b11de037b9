"""One thing that the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "absent", "warning", "broken"]
"""ok: as it should be. absent: an optional part that is not here. warning: works, or may, until something bigger is tried.
broken: something that every run needs does not work."""


@dataclass(frozen=True)
class Finding:
    """name: what was looked at. detail: what was found, on one line. mend: the one line that changes it; empty if ok."""

    name: str
    state: State
    detail: str
    mend: str = ""

    def __post_init__(self) -> None:
        if (self.state == "ok") is bool(self.mend):
            raise ValueError(f"{self.name} is {self.state}; wanted a mend for all but ok, and got {self.mend!r}")
        if "\n" in self.detail + self.mend:
            raise ValueError(f"{self.name}: wanted detail and mend of one line each")


def cause_of(error: BaseException) -> str:
    """The error that began it, on one line, with its kind."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
