"""A shared trunk wherever torch takes a mixture: copies, casts, checkpointing, compiling, layers that read weights."""

import copy
import pickle

import pytest
import torch

from linearsr.core.backbones.conformance import check_denoiser
from linearsr.core.registries import DENOISERS
from linearsr.core.structures import GuidanceTokens
from linearsr.experts import ExpertMixture
from linearsr.experts.low_rank import LowRankLinear
from tests.experts.toy_mixture import SUPPLIED, assert_close_to_scale, assert_same_state, at, batch, low_rank, shared

DIT = {
    "type": "LinearDiT",
    "depth": 2,
    "width": 16,
    "head_width": 8,
    "attention": {"type": "ReLULinearAttention"},
    "feed_forward": {"type": "GatedConvFeedForward", "ratio": 1.5},
    "lr_stem": {"type": "ConvStem", "width": 4},
}

KINDS = pytest.mark.parametrize("kind", [shared, low_rank])


def dit_mixture(rank=None, **changes):
    torch.manual_seed(0)
    own = ["*.feed_forward.*"] if rank is None else ["blocks.*.attention.*"]
    cfg = {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": DIT | changes, "per_expert": own, "rank": rank}
    return DENOISERS.build(cfg, **SUPPLIED)


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
