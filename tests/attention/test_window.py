"""Attention in windows: who sees whom, by which bias, in which layer."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention import SoftmaxAttention
from linearsr.attention.window import BIAS_STD, WindowAttention
from linearsr.core.errors import ConfigError
from tests.attention.spatial_laws import error_of_twin, heads_that_see, layer, sides
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-12}
"""Float64: outputs are means of values of unit size."""

windows = st.integers(1, 5).flatmap(lambda window: st.tuples(st.just(window), st.integers(0, window - 1)))


def weights(attention, grid, seed=0):
    """[N, N]: what each token gets of each, as the outputs of values that each name their token."""
    tokens, width = grid[0] * grid[1], attention.dim
    q, k = normal(seed, 1, 1, tokens, width), normal(seed + 1, 1, 1, tokens, width)
    return attention.mix(q, k, torch.eye(tokens, dtype=q.dtype)[None, None], grid)[0, 0].detach()


def tokens_together(grid, same):
    """bool [N, N]: same((y, x), (y', x')) of every two places."""
    places = list(itertools.product(*map(range, grid)))
    return torch.tensor([[same(here, there) for there in places] for here in places])


@given(seeds, sides, sides, windows, st.booleans())
def test_outputs_and_gradients_are_those_of_the_dense_form(seed, height, width, window_and_shift, qk_norm):
    attention = layer(WindowAttention, window=window_and_shift[0], shift=window_and_shift[1], qk_norm=qk_norm)
    assert error_of_twin(attention, (height, width), seed) <= 1e-10  # float64 rounding


@given(seeds, sides, sides, windows)
def test_a_token_sees_its_window_and_nothing_else(seed, height, width, window_and_shift):
    window, shift = window_and_shift
    seen = weights(layer(WindowAttention, num_heads=1, window=window, shift=shift), (height, width), seed)

    def same(here, there):
        return all((a - shift) // window == (b - shift) // window for a, b in zip(here, there, strict=True))

    assert torch.equal(seen > 0, tokens_together((height, width), same))
    torch.testing.assert_close(seen.sum(-1), torch.ones(height * width, dtype=seen.dtype), **ROUNDING)


@pytest.mark.parametrize(("window", "shift", "grid"), [(4, 2, (8, 12)), (3, 1, (6, 9)), (2, 1, (4, 4))])
def test_who_sees_whom_is_swins_cyclic_shift_with_its_masks(window, shift, grid):
    def place(at, size):
        rolled = (at - shift) % size
        wrapped = at < shift  # came from the other side
        return rolled // window, wrapped

    def same(here, there):
        return all(place(a, size) == place(b, size) for a, b, size in zip(here, there, grid, strict=True))

    seen = weights(layer(WindowAttention, num_heads=1, window=window, shift=shift), grid)
    assert torch.equal(seen > 0, tokens_together(grid, same))


def test_neighbours_across_a_border_meet_in_odd_layers_only():
    x = normal(0, 1, 64, 8).requires_grad_()
    for index, meet in ((0, False), (1, True), (2, False), (3, True)):
        out = layer(WindowAttention, window=4, layer=index)(x, (8, 8))
        (gradient,) = torch.autograd.grad(out[:, 3].sum(), x)  # the last of its window in row 0
        assert bool(gradient[:, 4].any()) == meet
        assert bool(gradient[:, 2].any())


def test_layers_alternate_unless_a_shift_is_given():
    assert [WindowAttention(8, 2, layer=index).shift for index in range(4)] == [0, 4, 0, 4]
    assert [WindowAttention(8, 2, shift=3, layer=index).shift for index in range(2)] == [3, 3]
    assert WindowAttention(8, 2, window=1, layer=1).shift == 0


@pytest.mark.parametrize(("height", "width"), [(3, 3), (2, 3), (1, 1)])
def test_the_bias_of_two_tokens_is_the_tables_entry_for_their_distance(height, width):
    attention = layer(WindowAttention, window=3)
    bias = attention.bias(height, width)
    assert attention.bias_table.shape == (25, 2)
    places = list(itertools.product(range(height), range(width)))
    for i, (y, x) in enumerate(places):
        for j, (y_other, x_other) in enumerate(places):
            entry = 5 * (y - y_other + 2) + (x - x_other + 2)  # Swin's order
            assert torch.equal(bias[:, i, j], attention.bias_table[entry])


def test_the_bias_is_added_to_the_scores_of_its_head():
    attention, grid = layer(WindowAttention, window=4), (3, 4)
    torch.nn.init.normal_(attention.bias_table)
    q, k, v = (normal(i, 1, 2, 12, 4) for i in range(3))
    want = (q @ k.mT / 2 + attention.bias(*grid)).softmax(-1) @ v  # √4
    torch.testing.assert_close(attention.mix(q, k, v, grid), want, **ROUNDING)


def test_one_window_without_a_bias_is_softmax_attention():
    attention, softmax = layer(WindowAttention), layer(SoftmaxAttention)
    attention.load_state_dict({**softmax.state_dict(), "bias_table": torch.zeros_like(attention.bias_table)})
    x = normal(0, 2, 35, 8)
    torch.testing.assert_close(attention(x, (5, 7)), softmax(x, (5, 7)), **ROUNDING)


def test_biases_start_near_0():
    table = layer(WindowAttention).bias_table
    assert 0.5 * BIAS_STD < table.std() < 1.5 * BIAS_STD  # 450 draws: their std errs by 3 %


def test_heads_stand_alone():
    assert torch.equal(heads_that_see(layer(WindowAttention, window=3, shift=1)), torch.eye(2, dtype=torch.bool))


def test_autocast_does_not_reach_the_mixing():
    attention = layer(WindowAttention).float()
    q, k, v = (normal(i, 1, 2, 40, 4, dtype=torch.float32) for i in range(3))
    with torch.autocast("cpu", torch.bfloat16):
        inside = attention.mix(q, k, v, (4, 10)), attention.mix_dense(q, k, v, (4, 10))
    assert torch.equal(inside[0], attention.mix(q, k, v, (4, 10)))
    assert torch.equal(inside[1], attention.mix_dense(q, k, v, (4, 10)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 4, "shift": 4}, "attention.shift is 4; wanted 0 ≤ shift < 4"),
        ({"window": 1, "shift": 2}, "attention.shift is 2; wanted 0 ≤ shift < 1"),
    ],
)
def test_a_shift_of_a_window_or_more_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        WindowAttention(8, 2, **options)


def asked_of_torch(monkeypatch, batch, grid, **options):
    """Shapes of the queries and elements of the mask, laid out in memory, that torch's attention is given."""
    attend, asked = F.scaled_dot_product_attention, []

    def noted(q, k, v, attn_mask):
        asked.append((tuple(q.shape), attn_mask.untyped_storage().nbytes() // attn_mask.element_size()))
        return attend(q, k, v, attn_mask=attn_mask)

    with monkeypatch.context() as patch:
        patch.setattr(F, "scaled_dot_product_attention", noted)
        layer(WindowAttention, window=2, **options)(normal(0, batch, grid[0] * grid[1], 8), grid)
    return asked


@pytest.mark.parametrize("batch", [1, 3])
def test_windows_are_a_batch_to_torch_as_its_cuda_kernels_take_65535_heads_and_no_more(monkeypatch, batch):
    bias = 2 * 4 * 4  # [H, L, L]
    assert asked_of_torch(monkeypatch, batch, (4, 6)) == [((batch * 6, 2, 4, 4), bias)]
    for grid, options in (((3, 5), {}), ((4, 4), {"shift": 1})):
        windows = 6 if grid == (3, 5) else 9
        assert asked_of_torch(monkeypatch, batch, grid, **options) == [((windows * 2, batch, 4, 4), windows * bias)]
