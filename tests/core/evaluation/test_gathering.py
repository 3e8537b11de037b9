"""Every picture counts once, whichever ranks restored it."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import DataError
from linearsr.core.evaluation.gathering import one_per_picture
from linearsr.core.evaluation.summary import PictureResult


def result(number: int, dataset: str = "tiny") -> PictureResult:
    return PictureResult(dataset=dataset, name=f"p{number}", bicubic={}, model={1: {"psnr_y": float(number)}})


def dealt(size: int, ranks: int) -> list[list[PictureResult]]:
    """As samplers deal: in turn, beginning again until all ranks have equally many."""
    rounds = -(-size // ranks)
    return [[result((place * ranks + rank) % size) for place in range(rounds)] for rank in range(ranks)]


@given(st.integers(1, 20), st.integers(1, 8))
def test_any_number_of_ranks_gathers_what_one_has_in_its_order(size: int, ranks: int) -> None:
    assert one_per_picture(dealt(size, ranks), size) == dealt(size, 1)[0]


@given(st.integers(1, 12), st.integers(2, 4), st.randoms())
def test_every_picture_counts_once_however_they_were_dealt(size: int, ranks: int, random: Random) -> None:
    shares: list[list[PictureResult]] = [[] for _ in range(ranks)]
    for number in range(size):
        for rank in random.sample(range(ranks), random.randint(1, ranks)):
            shares[rank].append(result(number))
    found = one_per_picture(shares, size)
    assert sorted(entry["name"] for entry in found) == sorted(f"p{number}" for number in range(size))


def test_one_name_in_two_data_sets_is_two_pictures() -> None:
    shares = [[result(0, "Set5")], [result(0, "Set14")]]
    assert [entry["dataset"] for entry in one_per_picture(shares, 2)] == ["Set5", "Set14"]


def test_two_pictures_of_one_name_cannot_be_told_from_a_copy() -> None:
    with pytest.raises(DataError, match="1 pictures of different names were restored and the data set has 2"):
        one_per_picture([[result(0)], [result(0)]], 2)


def test_one_rank_may_have_pictures_of_one_name() -> None:
    assert len(one_per_picture([[result(0), result(0)]], 2)) == 2
