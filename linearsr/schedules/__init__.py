"""Noise levels: path, time samplers, time grids, solvers, preconditioning; and where a stage of training should end."""

from linearsr.schedules.dpm_solver import DPMSolver
from linearsr.schedules.esgf import ESGF
from linearsr.schedules.flow_path import RectifiedFlow
from linearsr.schedules.knee_point.detector import KneeDetector
from linearsr.schedules.knee_point.state import Conflict, KneeState, MetricKnee, Phase
from linearsr.schedules.preconditioning import VelocityPreconditioner
from linearsr.schedules.solvers import Euler, Heun
from linearsr.schedules.time_grid import ShiftedGrid, UniformGrid
from linearsr.schedules.time_sampling import EndWeightedTimes, InverseCDFTimes, LogitNormalTimes, UniformTimes
from linearsr.schedules.time_shift import shift_time

__all__ = [
    "ESGF",
    "Conflict",
    "DPMSolver",
    "EndWeightedTimes",
    "Euler",
    "Heun",
    "InverseCDFTimes",
    "KneeDetector",
    "KneeState",
    "LogitNormalTimes",
    "MetricKnee",
    "Phase",
    "RectifiedFlow",
    "ShiftedGrid",
    "UniformGrid",
    "UniformTimes",
    "VelocityPreconditioner",
    "shift_time",
]
