"""Recorded evaluations of a mixture: each expert has weights of its own, so each has a recording of its own."""

import pytest
import torch

from linearsr.core.backbones.cuda_graphs import Evaluations
from tests.core.backbones.test_cuda_graphs import Recorder, four_experts, plain_and_graphs, two_pictures

STEPS = 12
"""Of a uniform grid, on which each of the four published experts has at least one."""


@torch.no_grad()
def test_each_of_four_experts_has_one_recording_and_pictures_are_those_of_plain_sampling():
    """On a grid that meets all of them, for two pictures of one size."""
    plain, graphs = plain_and_graphs(four_experts)
    recorder = Recorder()
    for expert in graphs.denoiser.experts:
        expert.recorded = Evaluations(recorder)
        expert.forward = replayed_on_a_cpu(expert)
    for lr in two_pictures():
        assert torch.equal(graphs.restore(lr, STEPS), plain.restore(lr, STEPS))
    assert [len(expert.recorded) for expert in graphs.denoiser.experts] == [1] * 4
    assert recorder.replays == [2 * steps for steps in steps_of_experts(plain)]


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_on_a_card_each_of_four_experts_has_one_recording(compiled, dtype):
    plain, graphs = (own.to("cuda", dtype) for own in plain_and_graphs(four_experts, compiled))
    for lr in two_pictures():
        lr = lr.to("cuda", dtype)
        assert torch.equal(graphs.restore(lr, STEPS), plain.restore(lr, STEPS))
    assert [len(expert.recorded) for expert in graphs.denoiser.experts] == [1] * 4


def steps_of_experts(model):
    """From noise on, in the order in which a solver meets the experts."""
    times = model.time_grid.times(STEPS)[:-1]
    return torch.unique_consecutive(model.denoiser.router.route(times), return_counts=True)[1].tolist()


def replayed_on_a_cpu(expert):
    """A forward that records as on a CUDA device."""

    def forward(z, t, lr, guidance, *, prepared):
        return expert.recorded(expert.evaluate, z, prepared.tables.at(t), prepared)

    return forward
