"""Tiles: they cover a picture, they add up, and they are exact where the neighbourhood is bounded."""

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from einops import reduce, repeat
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.autoencoders.tiling import blended_tiles, blending_weights, exact_spans, exact_tiles, overlapping_starts
from tests.strategies import normal, seeds

DOWN, UP = Fraction(1, 4), Fraction(4)
sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


def pooled(x):
    """[B, C, 4h, 4w] -> [B, C, h, w]; an output looks at its own pixels and four around them."""
    return reduce(torch.nn.functional.avg_pool2d(x, 9, 1, 4), "b c (h p) (w q) -> b c h w", "mean", p=4, q=4)


def enlarged(z):
    """[B, C, h, w] -> [B, C, 4h, 4w]; an output looks at one pixel around its own."""
    return repeat(torch.nn.functional.avg_pool2d(z, 3, 1, 1), "b c h w -> b c (h p) (w q)", p=4, q=4)


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 30))
def test_exact_tiles_lie_side_by_side_inside_the_picture(side, tile, halo):
    spans = exact_spans(side, tile, halo)
    assert [i for span in spans for i in range(span.start, span.stop)] == list(range(side))
    assert all(span.first == max(span.start - halo, 0) and span.last == min(span.stop + halo, side) for span in spans)


@given(seeds, sizes, st.integers(1, 8), st.integers(0, 2))
def test_exact_tiles_equal_the_whole(seed, size, tile, more):
    h, w = size
    image, z = normal(seed, 1, 2, 4 * h, 4 * w), normal(seed, 1, 2, h, w)
    down = exact_tiles(pooled, image, tile=4 * tile, halo=4 + 4 * more, scale=DOWN)
    up = exact_tiles(enlarged, z, tile=tile, halo=1 + more, scale=UP)
    # the same sums of float64, some in another order
    torch.testing.assert_close(down, pooled(image), rtol=0, atol=1e-13)
    torch.testing.assert_close(up, enlarged(z), rtol=0, atol=1e-13)


def test_a_halo_that_is_too_small_shows():
    z = normal(0, 1, 2, 8, 8)
    assert (exact_tiles(enlarged, z, tile=4, halo=0, scale=UP) - enlarged(z)).abs().max() > 0.01


@given(st.integers(1, 40), st.integers(2, 12), st.integers(1, 11), st.sampled_from([1, 4]))
def test_overlapping_tiles_cover_the_picture_and_share_what_was_asked(side, tile, overlap, step):
    overlap = min(overlap, tile - 1)
    starts = overlapping_starts(side * step, tile * step, overlap * step, step)
    assert starts[0] == 0
    assert all(start % step == 0 for start in starts)
    assert starts[-1] + tile * step == side * step or (len(starts) == 1 and tile >= side)
    assert all(a < b and a + tile * step - b >= overlap * step for a, b in pairwise(starts))


@given(st.integers(1, 40), st.integers(2, 12), st.integers(1, 11))
def test_blending_weights_sum_to_one_everywhere(side, tile, overlap):
    overlap = min(overlap, tile - 1)
    starts, length = overlapping_starts(side, tile, overlap, 1), min(tile, side)
    total = torch.zeros(side, dtype=torch.float64)
    for start, weights in zip(starts, blending_weights(starts, length, overlap, side), strict=True):
        assert (weights > 0).all()
        total[start : start + length] += weights
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-14)


@given(seeds, sizes, st.integers(2, 8))
def test_blended_tiles_of_a_transform_without_neighbours_equal_the_whole(seed, size, tile):
    z = normal(seed, 1, 2, *size)
    up = blended_tiles(lambda part: repeat(part, "b c h w -> b c (h p) (w q)", p=4, q=4), z, tile=tile, overlap=1, scale=UP)
    torch.testing.assert_close(up, repeat(z, "b c h w -> b c (h p) (w q)", p=4, q=4), rtol=0, atol=1e-13)


def test_a_constant_stays_constant():
    constant = torch.full((1, 3, 40, 24), 0.3)
    assert blended_tiles(lambda part: part, constant, tile=16, overlap=4, scale=Fraction(1)).sub(0.3).abs().max() < 1e-6


def test_where_tiles_disagree_the_difference_is_spread_over_the_overlap():
    """Three tiles that say −1, 1 and −1: side by side they would jump by 2."""
    says = iter([-1.0, 1.0, -1.0])
    tiled = blended_tiles(
        lambda part: torch.full_like(part, next(says)), torch.zeros(1, 1, 20, 44), tile=20, overlap=8, scale=Fraction(1)
    )
    assert tiled[0, 0, 0, [0, 20, 43]].tolist() == [-1, 1, -1]
    assert tiled.diff(dim=-1).abs().max() <= 2 / 8 + 1e-6


@pytest.mark.parametrize("tiled", [
    lambda transform, x: exact_tiles(transform, x, tile=16, halo=8, scale=DOWN),
    lambda transform, x: blended_tiles(transform, x, tile=32, overlap=8, scale=DOWN),
])  # fmt: skip
def test_no_more_than_a_tile_with_its_margins_is_in_work_at_a_time(tiled):
    seen = []

    def transform(x):
        seen.append(max(x.shape[-2:]))
        return pooled(x)

    tiled(transform, torch.zeros(1, 1, 96, 160))
    assert len(seen) > 8
    assert max(seen) <= 32


@pytest.mark.parametrize("run", [exact_tiles, blended_tiles])
def test_a_tile_larger_than_the_picture_is_the_transform_itself(run):
    z, margin = normal(0, 1, 2, 5, 7), {"halo": 1} if run is exact_tiles else {"overlap": 1}
    assert torch.equal(run(enlarged, z, tile=7, scale=UP, **margin), enlarged(z))


def test_blended_tiles_are_added_in_float32():
    """In bfloat16 the weights alone would be off by 2⁻⁹."""
    ones = torch.ones(1, 1, 40, 40, dtype=torch.bfloat16)
    tiled = blended_tiles(lambda part: part, ones, tile=15, overlap=7, scale=Fraction(1))
    assert tiled.dtype == torch.bfloat16
    assert torch.equal(tiled, ones)
