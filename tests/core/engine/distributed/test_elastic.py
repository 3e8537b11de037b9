"""Which draws form global batch k depends on the seed alone: neither on ranks nor on workers nor on where a run was resumed."""

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from linearsr.core.data import collate_pictures, samplers
from linearsr.core.data.samplers import DrawSampler
from linearsr.core.engine.distributed.replicated import mean_over_ranks

Draw = tuple[str, int]


class Names(Dataset[dict[str, Any]]):
    """Names and seeds without pictures."""

    def __init__(self, length: int):
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        return {"name": f"p{int(index)}", "dataset": "d", "seed": index.seed, "lr": torch.zeros(3, 1, 1)}  # type: ignore[attr-defined]


def global_batches(
    patch: pytest.MonkeyPatch, *, ranks: int, workers: int, batch: int, count: int, length: int, start: int = 0
) -> list[list[Draw]]:
    """Of each step, the draws of all ranks in order."""
    shares = []
    for rank in range(ranks):
        patch.setattr(samplers, "get_dist_info", lambda rank=rank: (rank, ranks))
        sampler = DrawSampler(Names(length), seed=3)
        sampler.start_at(start)
        loader = DataLoader(
            Names(length), batch // ranks, sampler=sampler, num_workers=workers, collate_fn=collate_pictures,
            multiprocessing_context="fork" if workers else None,
        )  # fmt: skip
        shares.append([list(zip(b["names"], b["seeds"], strict=True)) for b in islice(loader, count)])
    return [sorted(draw for share in shares for draw in share[step]) for step in range(count)]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_and_workers_do_not_change_which_draws_form_a_batch(
    ranks: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = global_batches(monkeypatch, ranks=1, workers=0, batch=4, count=8, length=7)
    assert global_batches(monkeypatch, ranks=ranks, workers=workers, batch=4, count=8, length=7) == wanted
    assert len({draw for batch in wanted for draw in batch}) == 32  # no draw twice


@given(
    ranks=st.sampled_from([1, 2, 3, 4]), later=st.sampled_from([1, 2, 3, 4]), length=st.integers(1, 30),
    done=st.integers(0, 9),
)  # fmt: skip
def test_a_run_resumed_on_any_number_of_ranks_has_the_same_batches(ranks: int, later: int, length: int, done: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        straight = global_batches(patch, ranks=ranks, workers=0, batch=12, count=done + 3, length=length)
        resumed = global_batches(patch, ranks=later, workers=0, batch=12, count=3, length=length, start=12 * done)
    assert resumed == straight[done:]


def test_a_single_process_logs_what_it_has() -> None:
    import torch

    losses = {"loss": torch.tensor(0.5)}
    assert mean_over_ranks(losses) == losses
