"""Views of pictures of any size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import DataError, ShapeError
from linearsr.guidance.taggers.pictures import checked_pictures, crop_views, mean_over_views, whole_view

sides = st.integers(1, 40)


@given(sides, sides, st.integers(2, 4))
def test_every_view_of_a_flat_picture_is_flat_and_of_the_wanted_size(height, width, grid):
    picture = torch.full((3, height, width), 0.25)
    for view in [whole_view(picture, 8), *crop_views(picture, 8, grid)]:
        torch.testing.assert_close(view, torch.full((1, 3, 8, 8), 0.25), rtol=0, atol=1e-6)  # rounding of cubic weights


def test_crops_reach_all_four_corners():
    picture = torch.zeros(3, 20, 30)
    picture[0, 0, 0] = picture[1, 0, -1] = picture[2, -1, 0] = picture[:, -1, -1] = 1
    views = crop_views(picture, 14, 2)  # 14 is 0.7 of the short side: crops are not resized
    assert [view[0, :, y, x].tolist() for view, (y, x) in zip(views, ((0, 0), (0, -1), (-1, 0), (-1, -1)), strict=True)] == [
        [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1],
    ]  # fmt: skip


def test_a_long_strip_costs_no_more_than_a_square():
    assert {tuple(view.shape) for view in crop_views(torch.rand(3, 1, 5000), 8, 3)} == {(1, 3, 8, 8)}


@given(st.integers(0, 2**31 - 1))
def test_the_whole_counts_as_much_as_all_crops_together(seed):
    picture = torch.rand(3, 12, 18, generator=torch.Generator().manual_seed(seed))
    asked = []

    def scores(view):
        asked.append(view)
        return view.mean((0, 2, 3))

    found = mean_over_views(picture, 8, 3, scores)
    whole, *crops = (view.mean((0, 2, 3)) for view in asked)
    assert len(crops) == 9
    torch.testing.assert_close(found, 0.5 * whole + 0.5 * sum(crops) / 9)
    assert torch.equal(mean_over_views(picture, 8, 1, scores), whole)


@pytest.mark.parametrize(
    ("picture", "error", "said"),
    [
        (torch.zeros(3, 4, 4), ShapeError, r"wanted a float \[B, 3, H, W\]"),
        (torch.zeros(1, 3, 0, 4), ShapeError, r"H, W ≥ 1"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), ShapeError, "uint8"),
        (torch.full((2, 3, 4, 4), float("nan")), DataError, "48 of 48 values of picture 0 are NaN"),
        (torch.full((1, 3, 4, 4), -1.0), DataError, "-1 … -1; wanted 0..1"),
        (torch.full((1, 3, 4, 4), 255.0), DataError, "255 … 255; wanted 0..1"),
    ],
)
def test_what_is_no_picture_in_0_1_is_refused(picture, error, said):
    with pytest.raises(error, match=said):
        checked_pictures(picture)


def test_what_a_resize_overshoots_is_clamped_and_16_bits_are_widened():
    found = checked_pictures(torch.tensor([-0.1, 0.5, 1.1], dtype=torch.float16).reshape(1, 3, 1, 1))
    assert found.dtype == torch.float32
    assert found.flatten().tolist() == [0, 0.5, 1]
