"""A GPU's work without the launching of it, for which a processor needs longer than a small kernel runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from measuring.rounds import Job, Key, Stopwatch, Timing, interleave, stopwatch

WARM_UPS = 3
"""Calls before a capture, in which kernels are compiled and tuned and libraries take their memory (as in torch's manual)."""


def time_in_turn(jobs: Mapping[Key, Job], device: torch.device, *, rounds: int, budget: float) -> dict[Key, Timing]:
    """`interleave` with the device's stopwatch; on a GPU each job is the replay of a CUDA graph, if one can be captured."""
    if device.type == "cpu":
        return interleave(jobs, stopwatch(device), rounds=rounds, budget=budget)
    return _replayed(jobs, stopwatch(device), rounds, budget)


def _replayed(jobs: Mapping[Key, Job], watch: Stopwatch, rounds: int, budget: float) -> dict[Key, Timing]:
    ready, failed = dict(jobs), dict.fromkeys(jobs, "")
    for key, job in jobs.items():
        try:
            ready[key] = _captured(job)
        except RuntimeError as error:  # what is copied to the host in between, say
            failed[key] = str(error.__context__ or error).partition("\n")[0]
    times = interleave(ready, watch, rounds=rounds, budget=budget)
    return {key: replace(timing, not_captured=failed[key]) for key, timing in times.items()}


def _captured(job: Job) -> Job:
    """The replay of the work that `job` gives a GPU. It keeps the memory of the job's results."""
    side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # around the capture too, which does not put the stream back when it fails
        for _ in range(WARM_UPS):
            job()
        with torch.cuda.graph(graph, stream=side):
            job()
    return graph.replay
