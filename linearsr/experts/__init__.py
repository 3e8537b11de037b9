"""Which weights work at which noise level."""

from linearsr.experts.function_router import FunctionRouter
from linearsr.experts.learned_router import LearnedRouter
from linearsr.experts.mixture import ExpertMixture, MixturePrepared
from linearsr.experts.partition import (
    PUBLISHED_BOUNDARIES,
    PUBLISHED_RANGE,
    bisect_log_snr,
    equal_log_snr,
    equal_loss,
    equal_mass,
    equal_time,
)
from linearsr.experts.snr_router import BisectionRouter, LogSNRRouter, SNRRouter
from linearsr.experts.uniform_router import UniformRouter
from linearsr.experts.upcycle import dense_of_expert, mixture_of_copies

__all__ = [
    "PUBLISHED_BOUNDARIES",
    "PUBLISHED_RANGE",
    "BisectionRouter",
    "ExpertMixture",
    "FunctionRouter",
    "LearnedRouter",
    "LogSNRRouter",
    "MixturePrepared",
    "SNRRouter",
    "UniformRouter",
    "bisect_log_snr",
    "dense_of_expert",
    "equal_log_snr",
    "equal_loss",
    "equal_mass",
    "equal_time",
    "mixture_of_copies",
]
