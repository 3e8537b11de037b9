"""Steps of the optimiser: in which precision, and what happens when a number is not finite."""

from linearsr.core.engine.optimisation.divergence import Diverged
from linearsr.core.engine.optimisation.wrapper import PrecisionOptimWrapper

__all__ = ["Diverged", "PrecisionOptimWrapper"]
