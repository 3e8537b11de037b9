"""The noise levels of training and sampling: path, time samplers, time grids, solvers, preconditioning."""

from linearsr.schedules.flow_path import RectifiedFlow
from linearsr.schedules.preconditioning import VelocityPreconditioner
from linearsr.schedules.solvers import Euler, Heun
from linearsr.schedules.time_grid import ShiftedGrid, UniformGrid
from linearsr.schedules.time_sampling import EndWeightedTimes, InverseCDFTimes, LogitNormalTimes, UniformTimes
from linearsr.schedules.time_shift import shift_time, unshift_time

__all__ = [
    "EndWeightedTimes",
    "Euler",
    "Heun",
    "InverseCDFTimes",
    "LogitNormalTimes",
    "RectifiedFlow",
    "ShiftedGrid",
    "UniformGrid",
    "UniformTimes",
    "VelocityPreconditioner",
    "shift_time",
    "unshift_time",
]
