"""Several processes, one run: launchers, wrappers, weights in pieces, and how they end together."""

from linearsr.core.engine.distributed.agreement import together
from linearsr.core.engine.distributed.folder import claim_folder
from linearsr.core.engine.distributed.group import is_first_process, process_group
from linearsr.core.engine.distributed.launch import LAUNCHERS
from linearsr.core.engine.distributed.metrics import gather_in_memory
from linearsr.core.engine.distributed.replicated import ReplicatedModel
from linearsr.core.engine.distributed.sharded import ShardedModel
from linearsr.core.engine.distributed.states import full_model_state, full_optimizer_state, load_whole_states
from linearsr.core.engine.distributed.tensors import is_in_pieces, whole, whole_values
from linearsr.core.engine.distributed.wrapping import wrap

__all__ = [
    "LAUNCHERS",
    "ReplicatedModel",
    "ShardedModel",
    "claim_folder",
    "full_model_state",
    "full_optimizer_state",
    "gather_in_memory",
    "is_first_process",
    "is_in_pieces",
    "load_whole_states",
    "process_group",
    "together",
    "whole",
    "whole_values",
    "wrap",
]
