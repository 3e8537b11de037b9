"""The state of every generator, saved and restored."""

import random

import numpy as np
import pytest
import torch

from linearsr.core.engine.checkpoints import random_state
from linearsr.core.engine.checkpoints.contents import plain
from linearsr.core.engine.checkpoints.random_state import gather_random_state, restore_random_state


@pytest.fixture(autouse=True)
def own_generators():
    """Leaves the session's generators as they were."""
    saved = gather_random_state()
    yield
    restore_random_state(saved, 0)


def drawn() -> list[float]:
    return [random.random(), random.gauss(0, 1), *np.random.randn(3), *torch.randn(3).tolist()]  # noqa: NPY002


def test_after_restoring_every_generator_goes_on_where_it_was(tmp_path) -> None:
    drawn()  # numpy keeps one normal number in hand
    torch.save(plain(gather_random_state()), tmp_path / "state")
    expected = drawn()
    drawn()
    restore_random_state(torch.load(tmp_path / "state", weights_only=True), 5)
    assert drawn() == expected


def test_a_rank_that_was_not_there_before_gets_a_seed_of_its_own(monkeypatch) -> None:
    states = gather_random_state()
    found = []
    for rank in (0, 1, 2):
        monkeypatch.setattr(random_state, "get_rank", lambda rank=rank: rank)
        torch.manual_seed(3)
        restore_random_state(states, 10)
        found.append(tuple(drawn()))
    assert len(set(found)) == 3
