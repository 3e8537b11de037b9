"""Experts from several files are one mixture, bit for bit; what does not belong together is refused."""

import pytest
import torch

from linearsr.core.errors import WeightsError
from linearsr.experts.merging import merge_experts, split_expert, trained_expert
from linearsr.experts.upcycle import dense_of_expert
from tests.experts.toy_mixture import LOW, PATTERNS, assert_same_state, at, batch, make, make_dense

TIMES = (0.1, 0.5, 0.9, 0.95)
"""One of each expert."""
FILES = ["a.pth", "b.pth", "c.pth", "d.pth"]


def model_state(denoiser, **others):
    """As a model's, with `others` beside its denoiser."""
    return others | {f"denoiser.{name}": value for name, value in denoiser.state_dict().items()}


def train(mixture, experts, steps=4):
    """AdamW with momentum and decay; each step on a batch of one expert, in turn."""
    optimizer = torch.optim.AdamW(mixture.parameters(), lr=1e-2, weight_decay=0.1)
    for step in range(steps):
        for k in experts:
            optimizer.zero_grad()
            z, lr, guidance = batch(100 * k + step, 3)
            mixture(z, at(TIMES[k], 3), lr, guidance).square().mean().backward()
            optimizer.step()
    return mixture


@pytest.mark.parametrize("per_expert", [None, PATTERNS, LOW])
def test_experts_exported_one_by_one_and_merged_are_the_mixture(per_expert):
    mixture = make(per_expert=per_expert, rank=2 if per_expert is LOW else None)
    state = model_state(mixture, scale=torch.tensor(0.5))
    dense = [split_expert(state, k, "m") for k in range(4)]
    assert {name.removeprefix("denoiser.") for name in dense[0]} == {*make_dense().state_dict(), "scale"}
    merged = merge_experts(dense, FILES)
    if per_expert is None:
        assert_same_state(merged, state)
    else:  # dense files do not say what was shared
        for k in range(4):
            own = {name.removeprefix("denoiser."): value for name, value in merged.items()}
            assert_same_state(dense_of_expert(own, k), mixture.dense_state_dict(k))


def test_experts_trained_as_jobs_of_their_own_are_those_trained_together():
    together = train(make(), range(4))
    jobs = [train(make(), [k]) for k in range(4)]
    assert_same_state(merge_experts([model_state(job) for job in jobs], FILES), model_state(together))


@pytest.mark.parametrize("options", [{"per_expert": PATTERNS}, {"per_expert": LOW, "rank": 2}])
def test_jobs_that_left_the_trunk_alone_are_merged_onto_it(options):
    def train_own(mixture, experts):
        for parameter in mixture.trunk.parameters():
            parameter.requires_grad_(False)
        return train(mixture, experts)

    together = train_own(make(**options), range(4))
    jobs = [model_state(train_own(make(**options), [k])) for k in range(4)]
    assert_same_state(merge_experts(jobs, FILES), model_state(together))


def test_dense_jobs_and_a_mixture_merge():
    dense = [model_state(make_dense(k)) for k in range(3)]
    mixture = make()
    merged = merge_experts([*dense, model_state(mixture)], FILES)
    fresh = make(7)
    fresh.load_state_dict({name.removeprefix("denoiser."): value for name, value in merged.items()})
    assert_same_state(fresh.experts[3].state_dict(), mixture.experts[3].state_dict())
    assert_same_state(fresh.experts[1].state_dict(), make_dense(1).state_dict())


def test_tensors_are_neither_copied_nor_changed():
    dense = [model_state(make_dense(k)) for k in range(2)]
    merged = merge_experts(dense, FILES[:2])
    assert merged["denoiser.experts.1.out.bias"] is dense[1]["denoiser.out.bias"]


def altered(state, **changes):
    return state | {f"denoiser.{name.replace('__', '.')}": value for name, value in changes.items()}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda: altered(model_state(make_dense()), out__bias=torch.zeros(9)), r"out\.bias is \[9\] in b\.pth and \[4\]"),
        (lambda: altered(model_state(make_dense()), more=torch.zeros(1)), r"b\.pth and a\.pth have unlike parameters: more"),
        (lambda: model_state(make()), r"b\.pth is a mixture of 4 experts, and 2 files"),
        (lambda: model_state(make_dense(), scale=torch.ones(1)), r"b\.pth and a\.pth differ in scale"),
        (lambda: {"out.bias": torch.zeros(1)}, r"b\.pth is no model of ours"),
    ],
)
def test_what_does_not_belong_together_is_refused(second, message):
    with pytest.raises(WeightsError, match=message):
        merge_experts([model_state(make_dense(), scale=torch.zeros(1)), second()], FILES[:2])


def test_trunks_that_moved_apart_are_refused():
    jobs = [model_state(train(make(per_expert=PATTERNS), [k])) for k in range(4)]
    with pytest.raises(WeightsError, match=r"b\.pth and a\.pth differ in .*learning rate of 0"):
        merge_experts(jobs, FILES)


def test_an_expert_that_is_not_there_cannot_be_taken_out():
    with pytest.raises(WeightsError, match="no expert 4; the mixture has 4"):
        split_expert(model_state(make()), 4, "m.pth")
    with pytest.raises(WeightsError, match=r"m\.pth is no mixture"):
        split_expert(model_state(make_dense()), 0, "m.pth")
    state = {name: value for name, value in model_state(make()).items() if ".experts.1." not in name}
    with pytest.raises(WeightsError, match=r"numbered \[0, 2, 3\]"):
        split_expert(state, 0, "m.pth")


@pytest.mark.parametrize(("shares", "expert"), [([0, 0, 1, 0], 2), ([1, 1], None), (None, None), ([0.5, 0], 0)])
def test_a_run_that_trains_one_expert_says_which(shares, expert):
    assert trained_expert({"model": {"expert_shares": shares}}) == expert
    assert trained_expert({}) is None
