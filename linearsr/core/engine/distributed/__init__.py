"""Several processes, one run: launchers, wrappers, weights in pieces, and how they end together."""

from linearsr.core.engine.distributed.agreement import together
from linearsr.core.engine.distributed.folder import claim_folder
from linearsr.core.engine.distributed.group import is_first_process, process_group
from linearsr.core.engine.distributed.launch import LAUNCHERS
from linearsr.core.engine.distributed.metrics import gather_in_memory
from linearsr.core.engine.distributed.replicated import ReplicatedModel
from linearsr.core.engine.distributed.sharded import ShardedModel
from linearsr.core.engine.distributed.states import load_whole_states
from linearsr.core.engine.distributed.tensors import whole
from linearsr.core.engine.distributed.wrapping import wrap

__all__ = [
    "LAUNCHERS",
    "ReplicatedModel",
    "ShardedModel",
    "claim_folder",
    "gather_in_memory",
    "is_first_process",
    "load_whole_states",
    "process_group",
    "together",
    "whole",
    "wrap",
]
