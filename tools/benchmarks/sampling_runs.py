"""What the sampling benchmark runs: an evaluation by every road, a whole picture, a large one, a training step."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from measuring import measure_peak, stopwatch
from measuring.rounds import interleave
from sampling_contenders import (
    DIFFUSERS,
    ROADS,
    STEPS,
    Call,
    Make,
    evaluations,
    evaluations_with_prepare,
    fastest_of_diffusers,
    pictures,
    training_steps,
    without_gradients,
)
from sampling_report import training_step
from sampling_sizes import Model, Plan
from sana_pair import Pair
from torch import Tensor

from linearsr.core.costs import flops, peak_bytes

Row = dict[str, Any]
DECODER = "the decoder alone"
DTYPE = torch.bfloat16
PEAKS = {"H200": 790e12}
"""FLOP/s in bfloat16 by a part of the device's name: what the goals were set by. Others are measured."""
PER_TOKEN = 32
"""Pixels of a side of what a token stands for."""
WARM_UPS = 2
"""Calls before the clock: the first compiles, and torch.compile's graphs are recorded in the second."""


def measure(plan: Plan, device: torch.device, rounds: int, budget: float, peak: float | None = None) -> dict[str, Any]:
    """Plain data: rows, and why what failed did. peak: FLOP/s of the device, known or measured by default."""
    models, autoencoder = plan
    failed: dict[str, str] = {}
    rows: list[Row] = []
    for model in models:
        with noted(f"{model.name}: the model", failed):
            run = Run(model, Pair(model.config, model.depth, DTYPE, device), rounds, budget, failed)
            for what, work in run.parts(autoencoder).items():
                with noted(f"{model.name}: {what}", failed):
                    rows += [{"model": model.name, "what": what, **row} for row in work(what)]
                torch.compiler.reset()  # each part starts with none of the few compiled forms that one function may have
    flop_rate, source = (peak, "given") if peak else peak_of(device)
    return {"device": device.type, "peak_flops": flop_rate, "peak_source": source, "rows": rows, "failed": failed}


def peak_of(device: torch.device) -> tuple[float, str]:
    """FLOP/s, and where the figure is from."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    for known, peak in PEAKS.items():
        if known in name:
            return peak, "known"
    return measure_peak(device, [DTYPE], stopwatch(device)).flops[str(DTYPE).removeprefix("torch.")], "measured"


@contextmanager
def noted(name: str, failed: dict[str, str]) -> Iterator[None]:
    """What does not fit, or cannot be compiled, is noted; the others go on."""
    try:
        yield
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        traceback.clear_frames(error.__traceback__)  # which hold what has been computed
        gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass(frozen=True)
class Run:
    """One model's. failed: who cannot take part is noted there."""

    model: Model
    pair: Pair
    rounds: int
    budget: float
    failed: dict[str, str]

    def parts(self, autoencoder: Mapping[str, Any]) -> dict[str, Callable[[str], list[Row]]]:
        """By name; each is told its name."""
        model, pair = self.model, self.pair
        found: dict[str, Callable[[str], list[Row]]] = {
            "an evaluation": lambda what: self._timed(
                what, evaluations(pair, model.side) | evaluations_with_prepare(pair, model.side)
            ),
            f"{STEPS} steps and decoding": lambda what: self._pictures(what, autoencoder),
        }
        if (large := model.large) is not None:
            found[f"an evaluation at {PER_TOKEN * large}²"] = lambda what: self._timed(what, evaluations(pair, large), True)
        for batch in model.batches:
            found[training_step(batch)] = partial(self._training, batch)
        return found

    def _timed(self, what: str, makers: Mapping[str, Make], memory: bool = False) -> list[Row]:
        """memory: peaks too, but for CUDA graphs, whose memory is not the allocator's to tell."""
        calls: dict[str, Call] = {}
        for name, make in makers.items():
            with noted(f"{self.model.name}: {what}, {name}", self.failed):
                call = make()
                for _ in range(WARM_UPS):
                    call()
                calls[name] = call
        timings = interleave(calls, stopwatch(self.pair.device), rounds=self.rounds, budget=self.budget)
        fastest = fastest_of_diffusers({name: timing.median for name, timing in timings.items()})
        rows = []
        for name, timing in timings.items():
            row = {"contender": name, **timing.figures()}
            for key, peer in (("of_peer", DIFFUSERS), ("of_fastest", fastest)):
                if peer in timings and name != DECODER:
                    row[key] = timing.times_faster_than(timings[peer])
            if memory and not (name in ROADS and ROADS[name].graph):
                with noted(f"{self.model.name}: {what}, {name}, memory", self.failed):
                    row["peak_bytes"] = peak_bytes(calls[name], self.pair.device)
            rows.append(row)
        return rows

    def _pictures(self, what: str, autoencoder: Mapping[str, Any]) -> list[Row]:
        """With diffusers' decoder for all; and the decoder alone."""
        from diffusers import AutoencoderDC

        decoder = torch.nn.Module.to(AutoencoderDC(**autoencoder), self.pair.device, DTYPE).eval()

        def decode(z: Tensor) -> Any:
            return decoder.decode(z, return_dict=False)

        z = self.pair.ask(self.model.side).z
        alone = {DECODER: lambda: without_gradients(lambda: decode(z))}
        return self._timed(what, alone | pictures(self.pair, self.model.side, decode))

    def _training(self, batch: int, what: str) -> list[Row]:
        rows = self._timed(what, training_steps(self.pair, self.model.side, batch), memory=True)
        work: Row = {}
        with noted(f"{self.model.name}: {what}, FLOPs", self.failed):
            # of one picture, for memory, and of diffusers' plain operations: the counter sees no kernels that are not torch's
            one = flops(training_steps(self.pair, self.model.side, 1)[DIFFUSERS]())
            work = {"flops": batch * one, "tokens": batch * self.model.side**2}
        return [row | work for row in rows]
