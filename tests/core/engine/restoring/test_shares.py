"""Every picture has one batch and one rank."""

from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.engine.restoring.shares import batches_of, deal

size_lists = st.lists(st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=20)


@given(size_lists, st.integers(1, 5))
def test_batches_hold_each_picture_once_and_one_size(sizes: list, most: int) -> None:
    batches = batches_of(sizes, most)
    assert sorted(index for batch in batches for index in batch) == list(range(len(sizes)))
    for batch in batches:
        assert len(batch) <= most
        assert len({sizes[index] for index in batch}) == 1
        assert sizes[batch[0]] is not None or len(batch) == 1
    for size in set(sizes) - {None}:  # no more batches than needed
        assert sum(sizes[batch[0]] == size for batch in batches) == -(-sizes.count(size) // most)


@given(size_lists, st.integers(1, 4), st.integers(1, 3))
def test_each_batch_has_one_rank_and_no_rank_a_batch_too_many(sizes: list, ranks: int, most: int) -> None:
    batches = batches_of(sizes, most)
    shares = deal(batches, sizes, ranks)
    assert sorted(batch for share in shares for batch in share) == sorted(batches)
    loads = [[sum(1 if sizes[i] is None else sizes[i][0] * sizes[i][1] for i in batch) for batch in share] for share in shares]
    for load in loads:
        assert not load or sum(load) - min(load) <= min(map(sum, loads))
