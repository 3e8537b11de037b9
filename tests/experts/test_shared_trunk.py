"""Experts that share a trunk: what is whose, counted and saved once, and exact where one of them works alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.experts.shared_trunk import per_expert_names
from tests.experts.toy_mixture import (
    LOW,
    assert_close_to_scale,
    assert_same_state,
    at,
    batch,
    low_rank,
    make,
    make_dense,
    of,
    shared,
)
from tests.strategies import seeds

OWN = {"mix.weight", "mix.bias", "time.bias"}
"""What PATTERNS say of the toy denoiser."""

KINDS = pytest.mark.parametrize("kind", [shared, low_rank])


def test_names_say_what_is_shared_and_nothing_is_there_twice():
    names = set(make_dense().state_dict())
    mixture = shared()
    wanted = {f"trunk.{name}" for name in names - OWN} | {f"experts.{k}.{name}" for k in range(4) for name in OWN}
    assert set(mixture.state_dict()) == wanted
    assert {name for name, _ in mixture.named_parameters(remove_duplicate=False)} == wanted


def test_with_a_rank_matrices_are_the_trunks_and_experts_add_to_them():
    names = set(make_dense().state_dict())
    added = {"words.lora_down", "words.lora_up", "words.bias", "mix.bias"}
    trunk = names - {"words.bias", "mix.bias"}
    wanted = {f"trunk.{name}" for name in trunk} | {f"experts.{k}.{name}" for k in range(4) for name in added}
    mixture = shared(per_expert=LOW, rank=2)
    assert set(mixture.state_dict()) == wanted
    assert mixture.experts[1].words.lora_down.shape == (2, 5)
    assert torch.equal(mixture.experts[1].words.weight, mixture.trunk.words.weight)  # what is added begins at exactly 0


@KINDS
@settings(max_examples=10)
@given(seeds, st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_identical_experts_on_a_trunk_are_the_dense_model(kind, seed, ts):
    dense, mixture = make_dense(), kind()
    mixture.upcycle(dense.state_dict())
    t = torch.tensor(ts, dtype=torch.float64)
    z, lr, guidance = batch(seed, len(t))
    assert_close_to_scale(mixture(z, t, lr, guidance), dense(z, t, lr, guidance))
    one = at(ts[0], len(t))
    assert torch.equal(mixture(z, one, lr, guidance), dense(z, one, lr, guidance))


@KINDS
@settings(max_examples=10)
@given(seeds, st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_a_mixed_batch_on_a_trunk_equals_picture_by_picture(kind, seed, ts):
    mixture, t = kind(), torch.tensor(ts, dtype=torch.float64)
    z, lr, guidance = batch(seed, len(t))
    alone = [mixture(z[[i]], t[[i]], *of(lr, guidance, [i])) for i in range(len(t))]
    assert_close_to_scale(mixture(z, t, lr, guidance), torch.cat(alone))


def test_each_expert_of_a_trunk_is_the_dense_model_of_its_weights_with_the_same_gradients():
    mixture = shared()
    z, lr, guidance = batch(0, 3)
    for k, time in enumerate((0.1, 0.5, 0.9, 0.95)):
        dense = make_dense()
        dense.load_state_dict(mixture.dense_state_dict(k))
        mixture.zero_grad()
        mixture(z, at(time, 3), lr, guidance).square().sum().backward()
        dense(z, at(time, 3), lr, guidance).square().sum().backward()
        got = {name: p.grad for name, p in mixture.named_parameters() if p.grad is not None}
        want = {(f"experts.{k}." if name in OWN else "trunk.") + name: p.grad for name, p in dense.named_parameters()}
        assert_same_state(got, want)


def test_an_expert_of_low_rank_is_the_dense_model_of_the_sum_and_both_parts_learn():
    mixture = low_rank()
    z, lr, guidance = batch(0, 3)
    for k, time in enumerate((0.1, 0.5, 0.9, 0.95)):
        dense = make_dense()
        dense.load_state_dict(mixture.dense_state_dict(k))
        mixture.zero_grad()
        out = mixture(z, at(time, 3), lr, guidance)
        assert torch.equal(out, dense(z, at(time, 3), lr, guidance))
        out.square().sum().backward()
        dense(z, at(time, 3), lr, guidance).square().sum().backward()
        whole, words = dense.words.weight.grad, mixture.experts[k].words
        assert torch.equal(mixture.trunk.words.weight.grad, whole)
        assert_close_to_scale(words.lora_up.grad, whole @ words.lora_down.T)  # the chain rule through base + up·down
        assert_close_to_scale(words.lora_down.grad, words.lora_up.T @ whole)


def test_the_trunks_gradient_is_the_sum_over_the_experts_that_used_it():
    mixture, t = shared(), torch.tensor([0.1, 0.5, 0.95], dtype=torch.float64)
    z, lr, guidance = batch(0, 3)
    mixture(z, t, lr, guidance).square().sum().backward()
    together = {name: p.grad.clone() for name, p in mixture.trunk.named_parameters()}
    mixture.zero_grad()
    for i in range(3):
        mixture(z[[i]], t[[i]], *of(lr, guidance, [i])).square().sum().backward()
    for name, parameter in mixture.trunk.named_parameters():
        assert_close_to_scale(together[name], parameter.grad)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["*.feedforward.*"], r"'\*\.feedforward\.\*' matches no parameter.*stem\.weight"),
        ("mix.*", "wanted a list"),
        ([], "wanted a list"),
    ],
)
def test_patterns_that_choose_nothing_are_refused(patterns, message):
    with pytest.raises(ConfigError, match=message):
        make(per_expert=patterns)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_expert": ["mix.*"], "rank": 2}, "matches no weight of a linear layer"),
        ({"per_expert": LOW, "rank": 0}, "rank is 0; wanted a whole number ≥ 1"),
        ({"rank": 2}, r"name the layers in denoiser\.per_expert"),
    ],
)
def test_a_rank_without_matrices_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


@given(st.lists(st.sampled_from(["a.weight", "a.bias", "b.weight", "c"]), unique=True, min_size=1))
def test_a_name_is_per_expert_if_any_pattern_matches_it(names):
    assert per_expert_names(names, ["*"]) == names
    assert per_expert_names(names, names) == names
    assert per_expert_names(names, names[:1]) == names[:1]
