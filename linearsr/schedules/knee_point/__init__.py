"""Where a run should have ended: the knee of its validation metrics, found online."""

from linearsr.schedules.knee_point.detector import KneeDetector
from linearsr.schedules.knee_point.state import KneeState

__all__ = ["KneeDetector", "KneeState"]
