"""How a process joins its group, and leaves it."""

import os

import pytest
import torch
import torch.distributed as dist

from linearsr.core.engine.distributed import is_first_process, process_group
from linearsr.core.engine.distributed.group import _is_lost
from linearsr.core.engine.distributed.replicated import ReplicatedModel
from linearsr.core.errors import ConfigError, DataError, RankError
from linearsr.core.models import build_model
from tests.core.engine.distributed.conftest import free_port
from tests.core.engine.distributed.models import DENOISER, MODEL, small_model

ALONE = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process, as torchrun starts it."""
    for name, value in (ALONE | {"MASTER_PORT": str(free_port())}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    monkeypatch.setenv("MKL_NUM_THREADS", "1")


def test_a_group_is_there_inside_and_gone_outside(alone: None) -> None:
    with process_group("pytorch", {}):
        assert dist.get_backend() == ("nccl" if torch.cuda.is_available() else "gloo")
    assert not dist.is_initialized()
    assert is_first_process("pytorch")


def test_an_error_ends_the_group_and_is_ones_own(alone: None) -> None:
    error = DataError("a picture")
    with pytest.raises(DataError) as raised, process_group("pytorch", {}):
        raise error
    assert raised.value is error
    assert not error.told  # nobody else said it
    assert not dist.is_initialized()


def test_a_lost_connection_is_named_as_a_dead_rank(alone: None) -> None:
    torchs = (
        "[/src/gloo/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:31117: Connection reset by peer. This is typically"
    )
    said = r"another rank died.*rank 0 ends too.*Connection reset by peer\)"
    with pytest.raises(RankError, match=said) as raised, process_group("pytorch", {}):
        raise RuntimeError(torchs)
    assert isinstance(raised.value.__cause__, RuntimeError)


@pytest.mark.parametrize("error", [RuntimeError("DataLoader worker (pid 3) is killed"), ValueError("gloo/"), DataError("NCCL")])
def test_other_errors_are_no_dead_rank(error: Exception) -> None:
    assert not _is_lost(error)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"launcher": "pytorch"}, "launcher='pytorch' in the config.*use --launcher"),
        ({"env_cfg": {"dist_cfg": {"backend": "mpi"}}}, "backend is 'mpi'; here, on .*wanted gloo"),
        ({"env_cfg": {"dist_cfg": {"timeout": 0}}}, "timeout is 0; wanted seconds > 0"),
        ({"env_cfg": {"dist_cfg": {"time_out": 1}}}, "no key 'time_out'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(alone: None, cfg: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message), process_group("pytorch", cfg):
        pass
    assert not dist.is_initialized()


@pytest.mark.skipif(torch.cuda.is_available(), reason="nccl is possible here")
def test_nccl_without_a_device_is_refused(alone: None) -> None:
    cfg = {"env_cfg": {"dist_cfg": {"backend": "nccl"}}}
    said = "backend is 'nccl'; here, on cpu, wanted gloo, or no such key"
    with pytest.raises(ConfigError, match=said), process_group("pytorch", cfg):
        pass


def test_ranks_that_find_no_rank_0_say_where_they_looked(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = rf"rank 1 of 2 does not find the others at localhost:{os.environ['MASTER_PORT']}"
    with pytest.raises(ConfigError, match=said), process_group("pytorch", {"env_cfg": {"dist_cfg": {"timeout": 1}}}):
        pass


def test_processes_of_torchrun_that_do_not_know_of_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"torchrun started 2 processes .*add --launcher pytorch"), process_group("none", {}):
        pass
    monkeypatch.setenv("WORLD_SIZE", "1")
    with process_group("none", {}):
        assert not dist.is_initialized()


def test_experts_let_weights_go_unused(alone: None) -> None:
    experts = build_model(MODEL | {"denoiser": {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": DENOISER}})
    with process_group("pytorch", {}):
        assert ReplicatedModel(experts).find_unused_parameters
        assert not ReplicatedModel(small_model()).find_unused_parameters
        assert ReplicatedModel(small_model(), find_unused_parameters=True).find_unused_parameters
