"""Evaluations as CUDA graphs: recorded once for each shape, then one launch in place of a thousand.

A graph works on the memory that it was recorded with. So latent, modulation and what is known of the picture are copied into
memory of the recording's own, the latter once for each picture, and the weights must stay where they are.
"""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from linearsr.core.backbones.prepared import Prepared, TimeTables

Evaluate = Callable[[Tensor, TimeTables, Prepared], Tensor]
Record = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]
"""record(function) -> (replay, out): each replay does what the function did, on the same memory, with its result in out."""

WARM_UPS = 3
"""Runs before a recording, in which kernels are compiled, tuned and given their workspaces (torch's own advice)."""
KEPT = 8
"""Recordings kept, the last ones used: each keeps the memory of an evaluation's activations."""


class Evaluations:
    """Recordings by shape. A copy, such as an average of the weights, has none."""

    def __init__(self, record: Record | None = None):
        self._record = record or record_cuda_graph
        self._recordings: OrderedDict[Any, _Recording] = OrderedDict()

    def __call__(self, evaluate: Evaluate, z_t: Tensor, tables: TimeTables, prepared: Prepared) -> Tensor:
        """`evaluate(z_t, tables, prepared)`, which does the same for all tensors of the same shapes and looks at no values."""
        key = _key(z_t, tables, prepared)
        recording = self._recordings.pop(key, None) or _Recording.of(self._record, evaluate, z_t, tables, prepared)
        self._recordings[key] = recording
        while len(self._recordings) > KEPT:
            self._recordings.popitem(last=False)
        return recording(z_t, tables, prepared)

    def forget(self) -> None:
        """Before the weights move."""
        self._recordings.clear()

    def __len__(self) -> int:
        return len(self._recordings)

    def __deepcopy__(self, memo: dict[int, Any]) -> Evaluations:
        return Evaluations(self._record)


@dataclass
class _Recording:
    """z_t, tables, prepared: in memory of its own; out: in the graph's."""

    z_t: Tensor
    tables: TimeTables
    prepared: Prepared
    replay: Callable[[], None]
    out: Tensor
    known: weakref.ref[Prepared] | None = field(default=None)
    """Of which `prepared` holds a copy."""

    @classmethod
    def of(cls, record: Record, evaluate: Evaluate, z_t: Tensor, tables: TimeTables, prepared: Prepared) -> _Recording:
        own_z, own_tables, own = z_t.clone(), _copied(tables), copy.deepcopy(replace(prepared, tables=None))
        replay, out = record(lambda: evaluate(own_z, own_tables, own))
        return cls(own_z, own_tables, own, replay, out)

    def __call__(self, z_t: Tensor, tables: TimeTables, prepared: Prepared) -> Tensor:
        own, given = [self.z_t, *self.tables.tensors()], [z_t, *tables.tensors()]
        if self.known is None or self.known() is not prepared:
            own, given = own + self.prepared.tensors(), given + prepared.tensors()
            self.known = weakref.ref(prepared)
        torch._foreach_copy_(own, given)
        self.replay()
        return self.out.clone()  # the next replay writes there


def record_cuda_graph(function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """torch's CUDA graph of `function`. What autocast casts is cast in the graph each time: a cast that it remembered from
    before would lie in memory that is given away when autocast ends."""
    kind = torch.get_autocast_dtype("cuda")
    with torch.autocast("cuda", dtype=kind, enabled=torch.is_autocast_enabled("cuda"), cache_enabled=False):
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                function()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = function()
    return graph.replay, out


def _copied(tables: TimeTables) -> TimeTables:
    return TimeTables(tables.times, tuple(table.clone() for table in tables.blocks), tables.head.clone())


def _key(z_t: Tensor, tables: TimeTables, prepared: Prepared) -> Any:
    """All that an evaluation's operations depend on."""
    tensors = [z_t, *tables.tensors(), *prepared.tensors()]
    modes = (
        torch.is_autocast_enabled(z_t.device.type),
        torch.get_autocast_dtype(z_t.device.type),
        torch.is_inference_mode_enabled(),  # its tensors may not be written to outside of it
    )
    masked = tuple(own is not None and own.mask is not None for own in prepared.cross)
    return z_t.device, modes, prepared.grid, masked, tuple((tensor.shape, tensor.dtype) for tensor in tensors)
