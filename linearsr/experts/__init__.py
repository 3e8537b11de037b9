"""Which weights work at which noise level."""

from linearsr.experts.mixture import ExpertMixture, MixturePrepared
from linearsr.experts.partition import PUBLISHED_BOUNDARIES, bisect_log_snr
from linearsr.experts.snr_router import SNRRouter
from linearsr.experts.upcycle import upcycle

__all__ = ["PUBLISHED_BOUNDARIES", "ExpertMixture", "MixturePrepared", "SNRRouter", "bisect_log_snr", "upcycle"]
