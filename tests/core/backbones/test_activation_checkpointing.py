"""Activation checkpointing: the same losses and gradients, with less kept between forward and backward."""

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from linearsr.core.registries import DENOISERS
from tests.core.backbones.test_linear_dit import dit, question

MIXTURE = {
    "type": "ExpertMixture",
    "router": {"type": "SNRRouter", "boundaries": (0.5,)},
    "expert": {
        "type": "LinearDiT",
        "depth": 2,
        "width": 24,
        "head_width": 8,
        "attention": {"type": "ReLULinearAttention"},
        "feed_forward": {"type": "GatedConvFeedForward", "ratio": 2.0},
        "lr_stem": {"type": "ConvStem", "width": 8},
    },
}


def mixture(activation_checkpointing: bool) -> nn.Module:
    torch.manual_seed(0)
    cfg = MIXTURE | {"expert": MIXTURE["expert"] | {"activation_checkpointing": activation_checkpointing}}
    supplied = {"latent_channels": 4, "latent_factor": 4, "upscale": 2, "guidance_width": 6, "log_snr": None}
    return DENOISERS.build(cfg, **supplied)


def loss_and_gradients(model: nn.Module, autocast: bool = False) -> list[torch.Tensor]:
    asked = question(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = model(*asked).float().square().mean()
    loss.backward()
    return [loss.detach(), *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)]


def block_calls(model: nn.Module) -> list[nn.Module]:
    """Grows by one block at each call of one."""
    calls: list[nn.Module] = []
    for module in model.modules():
        if type(module).__name__ == "LinearBlock":
            module.register_forward_pre_hook(lambda block, _: calls.append(block))
    return calls


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("make", [lambda on: dit(torch.float32, activation_checkpointing=on), mixture], ids=["dit", "mixture"])
def test_loss_and_every_gradient_are_the_same_bit_for_bit(make, autocast: bool) -> None:
    """The blocks run the same operations on the same numbers, once more."""
    plain, saving = make(False), make(True)
    calls = block_calls(saving)
    want, got = loss_and_gradients(plain, autocast), loss_and_gradients(saving, autocast)
    assert len(want) == len(got) > 10
    assert all(torch.equal(a, b) for a, b in zip(want, got, strict=True))
    assert calls
    assert all(calls.count(block) == 2 for block in calls)


def test_what_a_block_draws_is_drawn_again_alike() -> None:
    def noisy(on: bool) -> nn.Module:
        model = dit(torch.float32, activation_checkpointing=on)
        for block in model.blocks:
            block.attention.proj = nn.Sequential(block.attention.proj, nn.Dropout(0.5))
        torch.manual_seed(1)
        return model

    assert all(torch.equal(a, b) for a, b in zip(*(loss_and_gradients(noisy(on)) for on in (False, True)), strict=True))


@pytest.mark.parametrize("case", ["in use", "without gradients"])
def test_outside_training_a_block_runs_once_and_nothing_is_checkpointed(case: str, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("checkpoint was called")

    monkeypatch.setattr("linearsr.core.backbones.linear_dit.checkpoint", refuse)
    model = dit(activation_checkpointing=True).train(case != "in use")
    calls = block_calls(model)
    with torch.set_grad_enabled(case == "in use"):
        model(*question())
    assert len(calls) == 2


def kept_bytes(depth: int, activation_checkpointing: bool) -> int:
    """Kept for the way back: what autograd saves and what blocks were called with, each storage once, without weights."""
    model = dit(torch.float32, depth=depth, guidance_width=None, activation_checkpointing=activation_checkpointing)
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()  # held, so that no address is used twice
        return tensor

    for block in model.blocks:
        block.register_forward_pre_hook(lambda _, inputs: [keep(value) for value in inputs if torch.is_tensor(value)] and None)
    z, t, lr, _ = question(size=(16, 16), dtype=torch.float32)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        model(z, t, lr, None)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    return sum(storage.nbytes() for address, storage in kept.items() if address not in weights)


def test_each_block_keeps_its_tokens_and_its_modulation_and_nothing_else() -> None:
    tokens, modulation = 4 * 3 * 16 * 16 * 24, 4 * 6 * 3 * 24  # bytes of float32 [B, N, D] and [6, B, D]
    assert kept_bytes(6, True) - kept_bytes(3, True) == 3 * (tokens + modulation)
    assert kept_bytes(6, False) - kept_bytes(3, False) > 3 * 10 * tokens  # what is saved otherwise
