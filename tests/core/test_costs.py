"""Products and bytes are counted exactly, and growth is measured as it was made."""

import math
import os

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention.functional import relu_linear_attention
from linearsr.core.backbones.gated_conv_ffn import GatedConvFeedForward
from linearsr.core.costs import REPEATS, cpu_seconds, exponent, flops, growth_exponent, peak_bytes

sizes = st.integers(1, 40)
WORD = 4
"""Bytes of a float32."""


def zeros(*shape):
    return torch.zeros(shape)


PRODUCTS = {
    "@": lambda m, k, n: zeros(m, k) @ zeros(k, n),
    "mm, out=": lambda m, k, n: torch.mm(zeros(m, k), zeros(k, n), out=zeros(m, n)),
    "addmm": lambda m, k, n: torch.addmm(zeros(m, n), zeros(m, k), zeros(k, n)),
    "addmm, out=": lambda m, k, n: torch.addmm(zeros(n), zeros(m, k), zeros(k, n), out=zeros(m, n)),
    "addmm_": lambda m, k, n: zeros(m, n).addmm_(zeros(m, k), zeros(k, n), beta=0.5, alpha=2),
    "_addmm_activation": lambda m, k, n: torch._addmm_activation(zeros(n), zeros(m, k), zeros(k, n)),
}
"""Each of [m, k] and [k, n]."""
BATCHED = {
    "@": lambda b, m, k, n: zeros(b, m, k) @ zeros(b, k, n),
    "bmm, out=": lambda b, m, k, n: torch.bmm(zeros(b, m, k), zeros(b, k, n), out=zeros(b, m, n)),
    "baddbmm": lambda b, m, k, n: torch.baddbmm(zeros(b, m, n), zeros(b, m, k), zeros(b, k, n)),
    "baddbmm, out=": lambda b, m, k, n: torch.baddbmm(zeros(n), zeros(b, m, k), zeros(b, k, n), out=zeros(b, m, n)),
    "baddbmm_": lambda b, m, k, n: zeros(b, m, n).baddbmm_(zeros(b, m, k), zeros(b, k, n), beta=0.5, alpha=2),
    "addbmm": lambda b, m, k, n: torch.addbmm(zeros(m, n), zeros(b, m, k), zeros(b, k, n)),
    "addbmm, out=": lambda b, m, k, n: torch.addbmm(zeros(m, n), zeros(b, m, k), zeros(b, k, n), out=zeros(m, n)),
    "addbmm_": lambda b, m, k, n: zeros(m, n).addbmm_(zeros(b, m, k), zeros(b, k, n), beta=0.5, alpha=2),
}
"""Each of [b, m, k] and [b, k, n]."""
WITH_A_VECTOR = {
    "mv": lambda m, k: zeros(m, k) @ zeros(k),
    "mv, out=": lambda m, k: torch.mv(zeros(m, k), zeros(k), out=zeros(m)),
    "a vector first": lambda m, k: zeros(k) @ zeros(k, m),
    "of a batch": lambda m, k: zeros(1, m, k) @ zeros(k),
    "addmv": lambda m, k: torch.addmv(zeros(m), zeros(m, k), zeros(k)),
    "addmv, out=": lambda m, k: torch.addmv(zeros(m), zeros(m, k), zeros(k), out=zeros(m)),
    "addmv_": lambda m, k: zeros(m).addmv_(zeros(m, k), zeros(k), beta=0.5, alpha=2),
}
"""Each of [m, k] and [k]."""


@pytest.mark.parametrize("name", PRODUCTS)
@given(m=sizes, k=sizes, n=sizes)
def test_every_form_of_a_product_of_matrices_counts_two_for_each_multiply_add(name, m, k, n):
    assert flops(lambda: PRODUCTS[name](m, k, n)) == 2 * m * k * n


@pytest.mark.parametrize("name", BATCHED)
@given(b=st.integers(1, 5), m=sizes, k=sizes, n=sizes)
def test_every_form_of_a_product_of_batches_counts(name, b, m, k, n):
    assert flops(lambda: BATCHED[name](b, m, k, n)) == 2 * b * m * k * n


@pytest.mark.parametrize("name", WITH_A_VECTOR)
@given(m=sizes, k=sizes)
def test_every_form_of_a_product_with_a_vector_counts(name, m, k):
    assert flops(lambda: WITH_A_VECTOR[name](m, k)) == 2 * m * k


@pytest.mark.parametrize("product", [torch.dot, torch.vdot, torch.inner])
@given(k=sizes)
def test_a_product_of_two_vectors_counts(product, k):
    assert flops(lambda: product(zeros(k), zeros(k))) == 2 * k


@given(
    heads=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    tokens=st.integers(1, 300),
    width=st.integers(1, 8),
    value_width=st.integers(1, 8),
)
def test_linear_attention_counts_both_its_products_and_five_on_the_way_back(heads, tokens, width, value_width):
    """2·D·(E + 1) each, a token and head: the normaliser is one more column."""
    q, k = torch.ones(2, *heads, tokens, width).unbind()
    v = torch.ones(*heads, tokens, value_width)
    product = 2 * math.prod(heads) * tokens * width * (value_width + 1)
    assert flops(lambda: relu_linear_attention(q, k, v)) == 2 * product
    leaves = [part.clone().requires_grad_() for part in (q, k, v)]
    assert flops(lambda: relu_linear_attention(*leaves).sum().backward()) == (2 + 5) * product


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 40))
def test_a_feed_forward_in_strips_counts_what_the_whole_counts(height, width, strip_tokens):
    layer = GatedConvFeedForward(4, ratio=1.5, strip_tokens=strip_tokens)
    x, hidden = torch.ones(2, height * width, 4), 6
    with torch.no_grad():
        in_strips = flops(lambda: layer(x, (height, width)))
    whole = flops(lambda: layer(x, (height, width)))
    assert in_strips == whole == 2 * 2 * height * width * (4 * 2 * hidden + 9 * 2 * hidden + hidden * 4)


@given(st.integers(2, 20), st.integers(1, 8))
def test_fused_attention_counts_both_its_products(tokens, width):
    q = torch.ones(1, 1, tokens, width)
    assert flops(lambda: F.scaled_dot_product_attention(q, q, q)) == 2 * 2 * tokens**2 * width


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=6), st.booleans())
def test_the_peak_is_what_was_alive_at_one_time(counts, kept):
    def work():
        alive = []
        for count in counts:
            if not kept:
                alive.clear()
            alive.append(torch.empty(count))

    assert peak_bytes(work) == WORD * (sum(counts) if kept else max(counts))


def test_what_was_there_before_does_not_count_and_what_stays_does():
    before, kept = torch.empty(1000), []
    assert peak_bytes(lambda: kept.append(before[:10].clone())) == WORD * 10


def test_temporaries_inside_a_kernel_are_seen():
    x = torch.ones(10000)  # kthvalue works on a copy of its own
    assert peak_bytes(lambda: x.kthvalue(5)) >= WORD * 10000


def test_the_same_work_takes_the_same_bytes_every_time():
    layer, x = torch.nn.Linear(8, 8), torch.ones(64, 8)

    def work():
        layer(x).softmax(-1).sum().backward()
        layer.zero_grad()

    assert len({peak_bytes(work) for _ in range(5)}) == 1


def test_the_environment_is_left_as_it_was():
    before = dict(os.environ)
    peak_bytes(lambda: torch.ones(3))
    assert dict(os.environ) == before


def test_work_that_fails_says_so_and_the_next_is_measured():
    with pytest.raises(ZeroDivisionError):
        peak_bytes(lambda: 1 / 0)
    assert peak_bytes(lambda: torch.empty(100)) == WORD * 100


@pytest.mark.gpu
def test_on_cuda_the_peak_is_the_allocators():
    peak = peak_bytes(lambda: torch.empty(1 << 20, device="cuda"), "cuda")
    assert peak == WORD << 20


def test_time_is_the_median_of_several_calls_and_threads_are_given_back():
    calls, threads = [], torch.get_num_threads()
    assert cpu_seconds(lambda: calls.append(torch.get_num_threads())) >= 0
    assert calls == [1] * (REPEATS + 1)
    assert torch.get_num_threads() == threads


@given(st.floats(0.2, 3), st.floats(1, 1e6), st.floats(0, 1e12))
def test_the_exponent_is_found_behind_any_constant_part(power, factor, constant):
    ns = [1024, 2048, 4096, 8192]
    costs = [constant + factor * n**power for n in ns]
    # a difference of float64 keeps 1e-16 of the constant; the smallest increment is what that is compared with
    rounding = 1e-15 * costs[-1] / (costs[1] - costs[0])
    assert growth_exponent(ns, costs) == pytest.approx(power, abs=1e-9 + 10 * rounding)


@given(st.floats(0.2, 3), st.floats(1, 1e6))
def test_without_a_constant_part_least_squares_finds_it_too(power, factor):
    ns = [1000, 3000, 5000]
    assert exponent(ns, [factor * n**power for n in ns]) == pytest.approx(power, abs=1e-9)  # float64 logarithms


@given(st.floats(0, 1e12))
def test_what_does_not_grow_has_the_exponent_zero(cost):
    assert growth_exponent([1, 2, 4], [cost] * 3) == 0


@pytest.mark.parametrize("fit", [exponent, growth_exponent])
@given(side=st.integers(1, 100), window=st.integers(2, 70))
def test_padded_windows_of_any_size_never_look_more_than_linear(fit, side, window):
    def padded(length):
        return math.ceil(length / window) * window

    grids = [(side, side), (side, 2 * side), (2 * side, 2 * side)]
    power = fit([h * w for h, w in grids], [padded(h) * padded(w) for h, w in grids])
    assert power <= 1 + 1e-12  # rounding of two logarithms


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(1, 1e6)), min_size=1, max_size=4))
def test_the_largest_of_several_linear_costs_never_looks_more_than_linear(moments):
    ns = [1024, 2048, 4096]
    assert exponent(ns, [max(constant + slope * n for constant, slope in moments) for n in ns]) <= 1 + 1e-12


@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    groups=st.integers(1, 4),
    widths=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    transposed=st.booleans(),
    stride=st.integers(1, 2),
)
def test_the_way_back_of_a_convolution_counts_its_way_there_twice_grouped_or_not(sizes, groups, widths, transposed, stride):
    batch, height, width = sizes
    kind = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    layer = kind(widths[0] * groups, widths[1] * groups, 3, stride, padding=1, groups=groups)
    x = torch.ones(batch, widths[0] * groups, height, width, requires_grad=True)
    there = flops(lambda: layer(x))
    assert flops(lambda: layer(x).sum().backward()) == 3 * there
    places = height * width if transposed else math.prod(layer(x).shape[2:])
    assert there == 2 * batch * places * layer.weight.numel()
