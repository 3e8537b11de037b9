"""Every probe once, each guarded: one that fails is a finding like another, and the rest still run."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout

from linearsr.core.doctor.compilers import compilers
from linearsr.core.doctor.devices import devices
from linearsr.core.doctor.extras import extras
from linearsr.core.doctor.finding import Finding, cause_of
from linearsr.core.doctor.imports import components, imports
from linearsr.core.doctor.machine import machine
from linearsr.core.doctor.packages import packages
from linearsr.core.doctor.plugins import plugins
from linearsr.core.doctor.processes import processes

Findings = Mapping[str, Sequence[Finding]]
"""Area -> what was found there, in the order in which it is best mended."""

PROBES: dict[str, Callable[[], Sequence[Finding]]] = {
    "packages": packages,
    "imports": lambda: [*imports(), *components()],
    "optional parts": extras,
    "plugins": plugins,
    "devices": devices,
    "several processes": processes,
    "compiling": compilers,
    "machine": machine,
}


def examine(full: bool = False, probes: Mapping[str, Callable[[], Sequence[Finding]]] = PROBES) -> Findings:
    """full: also what takes minutes, a small torch.compile. What packages print as they are imported goes to stderr."""
    chosen = {**probes, "compiling": lambda: compilers(full=True)} if full else probes
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of other packages' imports; what matters becomes a finding
        return {area: _guarded(area, probe) for area, probe in chosen.items()}


def healthy(findings: Findings) -> bool:
    """Whether nothing that every run needs is broken."""
    return not any(finding.state == "broken" for area in findings.values() for finding in area)


def _guarded(area: str, probe: Callable[[], Sequence[Finding]]) -> Sequence[Finding]:
    try:
        return probe()
    except Exception as error:  # a machine can be broken in ways that no probe knows
        if isinstance(error, ModuleNotFoundError) and error.name:
            mend = f"pip install {error.name.partition('.')[0]}"
        else:
            mend = "mend what is broken above; if nothing is, report this line with the output of --json"
        return [Finding(area, "broken", f"could not be examined: {cause_of(error)}", mend)]
