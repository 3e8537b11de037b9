"""Where the time of a model goes: each part's own time, without that of the parts inside it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from measuring.roofline import Work


@dataclass(frozen=True)
class Part:
    """path: of the parts around it and itself, outermost first; () is the whole model. work: its own, of all its instances."""

    path: tuple[str, ...]
    name: str
    work: Work


class LayerClock:
    """Times the modules of every part while a model runs.

    modules: path -> every module that is such a part. A part whose modules are never called, because the part around them does
    their work in another way, is counted to that one.
    """

    def __init__(self, parts: Sequence[Part], modules: Mapping[tuple[str, ...], Sequence[nn.Module]], device: torch.device):
        self.parts, self.modules, self.device = parts, modules, device

    def own_times(self, run: Callable[[], object]) -> dict[tuple[str, ...], float]:
        """Path -> seconds in one run; the parts that were called alone."""
        own: defaultdict[tuple[str, ...], float] = defaultdict(float)
        inside = [0.0]  # of each open part: time in the parts it called
        begun: list[float] = []

        def enter(*_: object) -> None:
            begun.append(self._now())
            inside.append(0.0)

        def leave(path: tuple[str, ...]) -> Callable[..., None]:
            def note(*_: object) -> None:
                whole = self._now() - begun.pop()
                own[path] += whole - inside.pop()
                inside[-1] += whole

            return note

        with self._hooked(enter, leave):
            run()
        return dict(own)

    def called(self, times: Mapping[tuple[str, ...], float]) -> dict[tuple[str, ...], Part]:
        """The parts that were called, with the work and the names of those inside that were not."""
        found: dict[tuple[str, ...], Part] = {}
        for part in sorted(self.parts, key=lambda part: len(part.path)):
            path = part.path
            while path not in times:
                path = path[:-1]
            if path == part.path:
                found[path] = part
            else:
                outer = found[path]
                found[path] = Part(path, f"{outer.name}, {part.name}", outer.work + part.work)
        return found

    @contextmanager
    def _hooked(self, enter: Callable[..., None], leave: Callable[[tuple[str, ...]], Callable[..., None]]) -> Iterator[None]:
        handles = []
        for path, modules in self.modules.items():
            for module in modules:
                handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave(path))]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _now(self) -> float:
        if self.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()
