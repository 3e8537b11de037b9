"""`tools/doctor.py`: what this machine has, what is broken, and one line to mend it.

Nothing here imports torch, mmengine or any other package at its top: the doctor has to run where they are broken.
"""

from linearsr.core.doctor.examining import examine, healthy
from linearsr.core.doctor.finding import Finding, State
from linearsr.core.doctor.report import print_report, report_json

__all__ = ["Finding", "State", "examine", "healthy", "print_report", "report_json"]
