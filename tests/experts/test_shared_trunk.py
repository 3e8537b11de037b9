"""Experts that share a trunk: counted and saved once, moved by all, exact where one of them works alone."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.backbones.conformance import check_denoiser
from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.registries import DENOISERS
from linearsr.core.structures import GuidanceTokens
from linearsr.experts import ExpertMixture
from linearsr.experts.low_rank import LowRankLinear
from linearsr.experts.shared_trunk import per_expert_names
from tests.experts.toy_mixture import (
    LOW,
    PATTERNS,
    SUPPLIED,
    assert_close_to_scale,
    assert_same_state,
    at,
    batch,
    make,
    make_dense,
    of,
)
from tests.strategies import seeds

OWN = {"mix.weight", "mix.bias", "time.bias"}
"""What PATTERNS say of the toy denoiser."""

DIT = {
    "type": "LinearDiT",
    "depth": 2,
    "width": 16,
    "head_width": 8,
    "attention": {"type": "ReLULinearAttention"},
    "feed_forward": {"type": "GatedConvFeedForward", "ratio": 1.5},
    "lr_stem": {"type": "ConvStem", "width": 4},
}


def shared(seed=0, **options):
    return make(seed, **{"per_expert": PATTERNS} | options)


def low_rank(seed=0):
    """Experts that differ, as after some training."""
    mixture = shared(seed, per_expert=LOW, rank=2)
    for expert in mixture.experts:
        torch.nn.init.normal_(expert.words.lora_up)
    return mixture


KINDS = pytest.mark.parametrize("kind", [shared, low_rank])


def dit_mixture(rank=None, **changes):
    torch.manual_seed(0)
    own = ["*.feed_forward.*"] if rank is None else ["blocks.*.attention.*"]
    cfg = {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": DIT | changes, "per_expert": own, "rank": rank}
    return DENOISERS.build(cfg, **SUPPLIED)


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
    "moved",
    [
        copy.deepcopy,
        lambda mixture: pickle.loads(pickle.dumps(mixture)),
        lambda mixture: mixture.double(),
        lambda mixture: mixture.to("meta").to_empty(device="cpu"),
        lambda mixture: mixture.load_state_dict(copy.deepcopy(mixture.state_dict()), assign=True) and mixture,
    ],
    ids=["deep copy", "pickle", "double", "meta and back", "load with assign"],
)
@KINDS
def test_experts_keep_looking_at_their_own_trunk_wherever_it_goes(kind, moved):
    mixture = moved(kind())
    for name, parameter in mixture.trunk.named_parameters():
        for expert in mixture.experts:
            path, _, leaf = name.rpartition(".")
            module = expert.get_submodule(path)
            added = isinstance(module, LowRankLinear) and leaf == "weight"
            assert getattr(module, "base" if added else leaf) is parameter


def test_a_deep_copy_shares_nothing_with_the_original():
    mixture = shared()
    z, lr, guidance = batch(0, 2)
    before, twin = mixture(z, at(0.9, 2), lr, guidance), copy.deepcopy(mixture)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(mixture(z, at(0.9, 2), lr, guidance), before)
    assert not twin(z, at(0.9, 2), lr, guidance).any()


@pytest.mark.parametrize("rank", [None, 3])
def test_activation_checkpointing_computes_the_gradients_of_the_expert_that_worked(rank):
    t = torch.tensor([0.1, 0.5, 0.95], dtype=torch.float64)
    z, lr, guidance = batch(0, 3)
    found = []
    for again in (False, True):
        mixture = dit_mixture(rank, activation_checkpointing=again).train()
        mixture(z, t, lr, guidance).square().sum().backward()
        found.append({name: p.grad for name, p in mixture.named_parameters() if p.grad is not None})
    assert_same_state(found[1], found[0])


# dynamo asks every tensor for .grad and hides the warning itself, but only where warnings are no errors
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("rank", [None, 3])
def test_compiled_blocks_learn_the_same_and_one_graph_serves_all_experts(rank):
    graphs = []

    def counting(graph, inputs):
        graphs.append(graph)
        return graph.forward

    t = torch.tensor([0.1, 0.1, 0.5, 0.5, 0.95, 0.95], dtype=torch.float64)
    z, lr, guidance = batch(0, 6)
    z, lr, guidance = z.double(), lr.double(), GuidanceTokens(guidance.tokens.double(), guidance.mask)
    mixture, compiled = dit_mixture(rank).double(), dit_mixture(rank).double()
    torch.compiler.reset()
    try:
        for expert in compiled.experts:
            for block in expert.blocks:
                block.compile(backend=counting, dynamic=False)
        for each in (mixture, compiled):
            each(z, t, lr, guidance).square().sum().backward()
    finally:
        torch.compiler.reset()
    assert len(graphs) == 1
    for (name, got), (_, want) in zip(compiled.named_parameters(), mixture.named_parameters(), strict=True):
        assert (got.grad is None) == (want.grad is None), name
        if want.grad is not None:
            assert_close_to_scale(got.grad, want.grad)


def test_buffers_are_each_experts_own_and_begin_alike():
    torch.manual_seed(0)
    expert = DIT | {"attention": {"type": "PerformerAttention"}}
    cfg = {"type": "ExpertMixture", "router": {"type": "UniformRouter"}, "expert": expert, "per_expert": ["*.feed_forward.*"]}
    mixture = DENOISERS.build(cfg, **SUPPLIED)
    assert not list(mixture.trunk.buffers())
    first, *others = (dict(expert.named_buffers()) for expert in mixture.experts)
    assert first
    for other in others:
        assert_same_state(other, first)


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


def test_a_dense_model_that_does_not_fit_changes_nothing():
    mixture = shared()
    before = copy.deepcopy(mixture.state_dict())
    dense = make_dense().state_dict()
    for wrong, message in (
        ({name: value for name, value in dense.items() if name != "out.bias"}, r"out\.bias"),
        (dense | {"more": torch.zeros(1)}, "1 unexpected .more"),
        (dense | {"mix.bias": torch.zeros(3)}, r"experts\.0\.mix\.bias \[3\]"),
    ):
        with pytest.raises(WeightsError, match=message):
            mixture.upcycle(wrong, "pretrain.pth")
        assert_same_state(mixture.state_dict(), before)


@pytest.mark.parametrize("options", [{"per_expert": ["*.feed_forward.*"]}, {"per_expert": ["*.attention.*"], "rank": 2}])
def test_a_mixture_on_a_trunk_keeps_the_contract_of_a_denoiser(options):
    cfg = {"router": {"type": "SNRRouter"}, "expert": DIT | {"depth": 1}}
    check_denoiser(ExpertMixture, cfg | options).require()


@pytest.mark.parametrize("options", [{"per_expert": ["*.attention.*"]}, {"per_expert": ["*.feed_forward.*"], "rank": 2}])
def test_a_shared_or_adapted_feed_forward_in_strips_is_the_whole_one(options):
    """Its fast road reads weights instead of calling layers."""
    z, lr, guidance = batch(0, 2)
    answers = []
    for strip in (1, 10**6):
        torch.manual_seed(0)
        feed_forward = DIT["feed_forward"] | {"strip_tokens": strip}
        cfg = {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": DIT | {"feed_forward": feed_forward}}
        mixture = DENOISERS.build(cfg | options, **SUPPLIED).eval()
        for name, parameter in mixture.named_parameters():
            if "lora_up" in name:
                torch.nn.init.normal_(parameter)
        with torch.no_grad():
            answers.append(mixture(z, at(0.9, 2), lr, guidance))
    assert_close_to_scale(*answers)
