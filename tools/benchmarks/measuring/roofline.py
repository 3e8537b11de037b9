"""What a machine could do at best, in words; the library measures it."""

from __future__ import annotations

from collections.abc import Mapping

from linearsr.core.planning.roofline import Peak, Work, measure_peak

__all__ = ["Peak", "Work", "measure_peak", "peaks_in_words"]


def peaks_in_words(flops: Mapping[str, float], moved: float) -> str:
    """flops: per second, by dtype name; moved: bytes per second."""
    speeds = ", ".join(f"{speed / 1e9:.0f} GFLOP/s in {dtype}" for dtype, speed in flops.items())
    return f"Peaks measured in the same process: {speeds} (a large matrix product), {moved / 1e9:.1f} GB/s (a large copy)."
