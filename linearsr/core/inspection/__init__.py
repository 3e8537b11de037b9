"""Looking into configs: what a key means, where its value comes from, what differs between two."""

from linearsr.core.inspection.differences import ABSENT, Difference, differences
from linearsr.core.inspection.explaining import Explanation, explain
from linearsr.core.inspection.sources import resolve

__all__ = ["ABSENT", "Difference", "Explanation", "differences", "explain", "resolve"]
