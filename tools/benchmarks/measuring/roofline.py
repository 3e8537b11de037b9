"""What a machine could do at best, and how near a measured time comes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from measuring.rounds import Job, Stopwatch

TRIES = 5
"""The fastest counts: a peak is what the machine can do, not what it did beside other work."""
SIDES = {"cpu": 1536, "cuda": 8192}
"""Of the square matrices: large enough for the libraries' best speed, small enough for a second in all."""
COPIED_BYTES = 2**28
"""More than the caches hold."""


@dataclass(frozen=True)
class Work:
    """flops: multiplications and additions of matrix products and convolutions, as many as the mathematics asks for;
    bytes: read and written at least, each value once."""

    flops: float
    bytes: float

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.bytes + other.bytes)


@dataclass(frozen=True)
class Peak:
    """flops: per second of a large matrix product, by dtype name; bytes: read and written per second by a large copy."""

    flops: Mapping[str, float]
    bytes: float

    def shares(self, work: Work, seconds: float, dtype: str) -> dict[str, float]:
        """of_flops, of_bytes: achieved share of either peak; of_roofline: of the speed that the slower of the two allows.

        More than 1 of the bytes is possible where they lie in a cache.
        """
        flops, moved = work.flops / seconds / self.flops[dtype], work.bytes / seconds / self.bytes
        return {"of_flops": flops, "of_bytes": moved, "of_roofline": max(flops, moved)}


def measure_peak(device: torch.device, dtypes: Sequence[torch.dtype], watch: Stopwatch) -> Peak:
    flops = {}
    side = SIDES[device.type]
    for dtype in dtypes:
        matrix = torch.randn(side, side, device=device).to(dtype)
        flops[str(dtype).removeprefix("torch.")] = 2 * side**3 / _fastest(lambda: matrix @ matrix, watch)  # noqa: B023
    source = torch.ones(COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    return Peak(flops, 2 * COPIED_BYTES / _fastest(lambda: target.copy_(source), watch))


def peaks_in_words(flops: Mapping[str, float], moved: float) -> str:
    """flops: per second, by dtype name; moved: bytes per second."""
    speeds = ", ".join(f"{speed / 1e9:.0f} GFLOP/s in {dtype}" for dtype, speed in flops.items())
    return f"Peaks measured in the same process: {speeds} (a large matrix product), {moved / 1e9:.1f} GB/s (a large copy)."


def _fastest(job: Job, watch: Stopwatch) -> float:
    watch(job, 1)
    return min(watch(job, 1) for _ in range(TRIES))
