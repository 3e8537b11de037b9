"""What a device could do at best, and how long some work takes there at least."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from linearsr.core.errors import ConfigError, nearest

Job = Callable[[], object]

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

    @property
    def intensity(self) -> float:
        """FLOPs for each byte."""
        return self.flops / self.bytes if self.bytes else 0.0


@dataclass(frozen=True)
class Peak:
    """flops: per second of a large matrix product, by dtype name; bytes: read and written per second by a large copy."""

    flops: Mapping[str, float]
    bytes: float

    def seconds(self, work: Work, dtype: str) -> float:
        """At least: the slower of products and memory, each at its peak. Raises ConfigError for a dtype without a peak."""
        return max(work.flops / self._products(dtype), work.bytes / self.bytes)

    def bound(self, work: Work, dtype: str) -> str:
        """ "compute" or "memory": which of the two is the slower one."""
        return "compute" if work.flops / self._products(dtype) > work.bytes / self.bytes else "memory"

    def shares(self, work: Work, seconds: float, dtype: str) -> dict[str, float]:
        """of_flops, of_bytes: achieved share of either peak; of_roofline: of the speed that the slower of the two allows.

        More than 1 of the bytes is possible where they lie in a cache.
        """
        flops, moved = work.flops / seconds / self._products(dtype), work.bytes / seconds / self.bytes
        return {"of_flops": flops, "of_bytes": moved, "of_roofline": max(flops, moved)}

    def _products(self, dtype: str) -> float:
        if dtype not in self.flops:
            raise ConfigError(f"no peak is known for {dtype}, only for {', '.join(self.flops)}; choose another --dtype")
        return self.flops[dtype]


@dataclass(frozen=True)
class Device(Peak):
    """kind: "cpu" or "cuda"; memory: bytes that it has; source: where the figures are from."""

    name: str
    kind: str
    memory: float
    source: str


def _hopper(name: str, bandwidth: float, memory: float) -> Device:
    flops = {"float32": 67e12, "bfloat16": 989e12, "float16": 989e12}  # dense; float32 as torch multiplies by default, not TF32
    return Device(flops, bandwidth, name, "cuda", memory, "NVIDIA's data sheet, SXM")


DEVICES = {"H100": _hopper("H100", 3.35e12, 80e9), "H200": _hopper("H200", 4.8e12, 141e9)}


def device_named(name: str) -> Device:
    """Raises ConfigError for an unknown one."""
    found = {known.lower(): device for known, device in DEVICES.items()}.get(name.lower())
    if found is None:
        hint = nearest(name.upper(), DEVICES) or "."
        raise ConfigError(
            f"no device is called {name!r}{hint} Known: {', '.join(DEVICES)}; or pass --calibrate to measure this machine's"
        )
    return found


def measure_peak(
    device: torch.device, dtypes: Sequence[torch.dtype], watch: Callable[[Job, int], float] | None = None
) -> Device:
    """A second or two. watch: (job, calls) -> seconds for one call, by default the wall's, on as many threads as torch uses."""
    clock = watch or _wall(device)
    flops, side = {}, SIDES[device.type]
    for dtype in dtypes:
        matrix = torch.randn(side, side, device=device).to(dtype)
        flops[str(dtype).removeprefix("torch.")] = 2 * side**3 / _fastest(lambda: matrix @ matrix, clock)  # noqa: B023
    source = torch.ones(COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    moved = 2 * COPIED_BYTES / _fastest(lambda: target.copy_(source), clock)
    return Device(flops, moved, *_described(device), "measured")


def _described(device: torch.device) -> tuple[str, str, float]:
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        return card.name, "cuda", card.total_memory
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"this machine's CPU, {torch.get_num_threads()} threads", "cpu", memory


def _fastest(job: Job, watch: Callable[[Job, int], float]) -> float:
    watch(job, 1)
    return min(watch(job, 1) for _ in range(TRIES))


def _wall(device: torch.device) -> Callable[[Job, int], float]:
    def seconds(job: Job, calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            job()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - start) / calls

    return seconds
