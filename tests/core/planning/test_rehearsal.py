"""What is said before anything runs is what is measured when it runs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from linearsr.core.config import load_config
from linearsr.core.costs import flops, peak_bytes
from linearsr.core.models import build_model
from linearsr.core.planning import Rehearsal
from linearsr.core.planning.parameters import count_parameters
from linearsr.core.structures import SRBatch
from tests.shipped import ROOT

FLOPS, MEMORY = 0.01, 0.15
"""Relative differences that are allowed: what the tool promises."""
GUIDED = {"type": "linearsr.core.planning.stand_ins.TokensOfSize", "width": 24, "length": 9}
EXPERTS = {"type": "ExpertMixture", "router": {"type": "SNRRouter"}}
ADAM = {"type": "AdamW", "lr": 1e-3}


def tiny(**changed):
    """The quickstart's model of two blocks."""
    model = load_config(ROOT / "configs" / "quickstart_x4.py", ["model.denoiser.depth=2"]).model.to_dict()
    denoiser = model["denoiser"] | changed.pop("denoiser", {})
    mixture = changed.pop("mixture", False)
    return model | {"denoiser": EXPERTS | {"expert": denoiser} if mixture else denoiser} | changed


MODELS = {
    "plain": tiny(),
    "softmax": tiny(denoiser={"attention": {"type": "SoftmaxAttention"}}),
    "window and linear": tiny(
        denoiser={"attention": [{"type": "WindowAttention", "window": 4}, {"type": "ReLULinearAttention"}]}
    ),
    "agent": tiny(denoiser={"attention": {"type": "AgentAttention"}}),
    "guided": tiny(guidance=GUIDED),
    "two answers a step": tiny(guidance=GUIDED, guider={"type": "ClassifierFreeGuidance", "scale": 3.0}),
    "experts": tiny(mixture=True, guidance=GUIDED),
    "second order": tiny(solver={"type": "DPMSolver"}),
    "checkpointing": tiny(denoiser={"activation_checkpointing": True}),
}


def total(ledger):
    return sum(ledger.work(phase).flops for phase in ledger.calls)


@pytest.mark.parametrize("name", MODELS)
def test_flops_and_peak_of_a_restored_picture_are_those_of_a_real_run(name):
    rehearsal, real = Rehearsal(MODELS[name]), build_model(MODELS[name]).eval()
    lr = torch.rand(1, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    ledger = rehearsal.restore(20, 28, 4)
    assert total(ledger) == pytest.approx(flops(lambda: real.restore(lr, 4, [0])), rel=FLOPS)
    assert ledger.memory.peak == pytest.approx(peak_bytes(lambda: real.restore(lr, 4, [0])), rel=MEMORY)


def test_with_the_proportions_of_sana_torchs_own_counter_says_the_same():
    """It misses the sums of linear attention, which are a share of the width of a head in the model's: 0.5 %."""
    model = MODELS["guided"] | {"denoiser": MODELS["guided"]["denoiser"] | {"depth": 1, "width": 576, "cross_head_width": 72}}
    real, lr = build_model(model).eval(), torch.zeros(1, 3, 12, 12)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        real.restore(lr, 1, [0])
    assert total(Rehearsal(model).restore(12, 12, 1)) == pytest.approx(counter.get_total_flops(), rel=FLOPS)


@pytest.mark.parametrize(
    ("side", "tile"), [(24, None), (48, None), (96, None), (24, 16), (48, 16), pytest.param(96, 16, marks=pytest.mark.slow)]
)
def test_the_peak_is_foreseen_at_three_sizes_whole_and_in_tiles(side, tile):
    model = tiny(denoiser={"tile": tile})
    real, lr = build_model(model).eval(), torch.zeros(1, 3, side, side)
    foreseen = Rehearsal(model).restore(side, side, 2).memory.peak
    assert foreseen == pytest.approx(peak_bytes(lambda: real.restore(lr, 2, [0])), rel=MEMORY)


@pytest.mark.parametrize("name", ["plain", "guided", "experts", "checkpointing"])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_flops_and_peak_of_a_training_step_are_those_of_a_real_one(name, dtype):
    model = MODELS[name]
    rehearsal, real = Rehearsal(model), build_model(model).train()
    batch = SRBatch(torch.zeros(2, 3, 16, 16), (0, 1), torch.zeros(2, 3, 64, 64))
    optimizer = torch.optim.AdamW(real.parameters(), lr=1e-3)
    for parameter in real.parameters():  # moments of all weights, as after some steps
        parameter.grad = torch.zeros_like(parameter)
    moments = peak_bytes(lambda: optimizer.step())
    optimizer.zero_grad()

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is not None):
            loss, _ = real.parse_losses(real.loss(batch))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    ledger = rehearsal.train(16, 16, 2, ADAM, dtype)
    assert total(ledger) == pytest.approx(flops(step), rel=FLOPS)
    assert ledger.memory.peak == pytest.approx(peak_bytes(step) + moments, rel=MEMORY)


@settings(max_examples=3)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.integers(1, 12))
def test_calls_that_are_booked_cost_what_they_cost_when_made(batch, height, width, steps):
    rehearsal = Rehearsal(MODELS["experts"])
    real = build_model(MODELS["experts"]).eval()
    ledger = rehearsal.restore(height, width, steps, batch)
    assert len(ledger.calls["evaluation"]) == steps
    lr = torch.zeros(batch, 3, height, width)
    assert total(ledger) == flops(lambda: real.restore(lr, steps, list(range(batch))))


@pytest.mark.parametrize("name", MODELS)
def test_no_weights_are_drawn_and_their_number_is_the_models(name):
    rehearsal = Rehearsal(MODELS[name])
    real = build_model(MODELS[name])
    assert count_parameters(rehearsal.model) == count_parameters(real)
    assert peak_bytes(lambda: Rehearsal(MODELS[name])) < sum(p.nbytes for p in real.parameters()) / 2


def test_a_rehearsed_model_is_left_as_it_was():
    rehearsal = Rehearsal(MODELS["guided"])
    first = rehearsal.restore(8, 8, 2)
    rehearsal.train(8, 8, 1, ADAM)
    again = rehearsal.restore(8, 8, 2)
    assert first.memory.peak == again.memory.peak
    assert {name: first.work(name) for name in first.calls} == {name: again.work(name) for name in again.calls}
    assert all(parameter.grad is None for parameter in rehearsal.model.parameters())


@pytest.mark.parametrize(("sizes", "millions"), [((28, 1152, 72), 591.7), ((20, 2240, 112), 1604.5)])
def test_without_its_stem_the_backbone_has_as_many_parameters_as_sana(sizes, millions):
    diffusers = pytest.importorskip("diffusers")
    depth, width, cross = sizes
    name = "0.6b" if width < 2000 else "1.6b"
    from linearsr.core.planning.parts_at_hand import ready_to_build

    model, _ = ready_to_build(load_config(ROOT / "configs" / f"linearsr_{name}_x4.py").model.to_dict())
    model["denoiser"]["lr_stem"] = None
    ours = count_parameters(Rehearsal(model).model.denoiser)
    with torch.device("meta"):
        theirs = diffusers.SanaTransformer2DModel(
            num_attention_heads=width // 32, attention_head_dim=32, num_layers=depth, cross_attention_dim=width,
            num_cross_attention_heads=width // cross, cross_attention_head_dim=cross, caption_channels=2304,
        )  # fmt: skip
    assert ours == sum(parameter.numel() for parameter in theirs.parameters())
    assert round(ours / 1e6, 1) == millions
