"""A killed data worker is explained in one line."""

import multiprocessing
import os
import signal
from pathlib import Path
from unittest.mock import Mock

import pytest
from torch.utils.data import DataLoader, Dataset

from linearsr.core.data.worker_death import explain_worker_death
from linearsr.core.errors import DataError


class Dying(Dataset):
    """The worker that reads picture 3 is killed."""

    def __init__(self, number: int):
        self.number = number

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 3 and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), self.number)
        return index


# torch's signal handler raises wherever Python happens to be: inside a __del__ it is lost, and the queue notices later
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_what_torch_says_of_a_killed_worker_is_explained(number: int) -> None:
    with pytest.raises((RuntimeError, ConnectionError, EOFError)) as caught:
        list(DataLoader(Dying(number), num_workers=2))
    told = explain_worker_death(caught.value)
    assert isinstance(told, DataError)
    assert "\n" not in str(told)
    for word in ("data worker", "was killed", "out of memory", "num_workers", "/dev/shm", "--resume"):
        assert word in str(told)


def test_both_wordings_of_torch_and_a_full_shared_memory() -> None:
    queue = explain_worker_death(RuntimeError("DataLoader worker (pid(s) 12, 13) exited unexpectedly"))
    assert str(queue).startswith("data worker 12, 13 was killed; most often")
    handler = explain_worker_death(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))
    assert str(handler).startswith("data worker 7 was killed (Killed); most often")
    shm = "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of …"
    assert "(Bus error); shared memory is full: give" in str(explain_worker_death(RuntimeError(shm)))


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory"), ValueError("DataLoader worker (pid 7) is killed by signal: x")]
)
def test_other_errors_are_not_explained(error: Exception) -> None:
    assert explain_worker_death(error) is None


def test_torch_still_says_it_like_that() -> None:
    import torch.utils.data.dataloader as loader

    assert "exited unexpectedly" in Path(loader.__file__).read_text()


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_a_connection_that_breaks_while_a_batch_is_received_is_a_dead_worker(error: Exception) -> None:
    batches = iter(DataLoader(range(8), num_workers=1))
    batches._data_queue = Mock(get=Mock(side_effect=error))
    with pytest.raises(type(error)) as caught:
        next(batches)
    assert str(explain_worker_death(caught.value)).startswith("a data worker was killed; most often")


class Unreachable(Dataset):
    """Its own connection breaks, as of pictures on a network."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise ConnectionResetError(104, "Connection reset by peer")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_connection_of_the_dataset_itself_is_not_a_dead_worker(workers: int) -> None:
    with pytest.raises(ConnectionResetError) as caught:
        list(DataLoader(Unreachable(), num_workers=workers))
    assert explain_worker_death(caught.value) is None


def test_workers_that_send_nothing_are_explained() -> None:
    explained = explain_worker_death(RuntimeError("DataLoader timed out after 600 seconds"))
    assert "/dev/shm" in str(explained)
    assert "--resume" in str(explained)
