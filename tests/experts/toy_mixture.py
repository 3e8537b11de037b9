"""Mixtures of toy denoisers, and batches for them."""

import torch

from linearsr.core.registries import DENOISERS
from linearsr.core.structures import GuidanceTokens
from tests.experts.toy_denoiser import TOY
from tests.strategies import normal

SUPPLIED = {"latent_channels": 4, "latent_factor": 4, "upscale": 2, "guidance_width": 5, "log_snr": None}
MIXED = 5e-6
"""Of the largest output: float32 GEMMs and convolutions round differently by batch size."""

PATTERNS = ["mix.*", "time.bias"]
LOW = ["words.*", "mix.bias"]
"""With a rank: one matrix of a linear layer, and two vectors that are each expert's own."""


def make(seed=0, **options):
    torch.manual_seed(seed)
    return DENOISERS.build(
        {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": {"type": TOY}} | options, **SUPPLIED
    )


def make_dense(seed=1):
    torch.manual_seed(seed)
    return DENOISERS.build({"type": TOY}, **SUPPLIED)


def shared(seed=0, **options):
    return make(seed, **{"per_expert": PATTERNS} | options)


def low_rank(seed=0):
    """Experts that differ, as after some training."""
    mixture = shared(seed, per_expert=LOW, rank=2)
    for expert in mixture.experts:
        torch.nn.init.normal_(expert.words.lora_up)
    return mixture


def batch(seed, size):
    """z_t, lr and guidance of `size` pictures, each with words masked in its own way."""
    f32 = torch.float32
    mask = normal(seed + 3, size, 3) > 0
    return (
        normal(seed, size, 4, 3, 5, dtype=f32),
        normal(seed + 1, size, 3, 6, 10, dtype=f32),
        GuidanceTokens(normal(seed + 2, size, 3, 5, dtype=f32), mask),
    )


def of(lr, guidance, rows):
    return lr[rows], GuidanceTokens(guidance.tokens[rows], guidance.mask[rows])


def at(time, size):
    return torch.full((size,), time, dtype=torch.float64)


def assert_close_to_scale(got, want):
    assert (got - want).abs().max() <= MIXED * want.abs().max()


def assert_same_state(got, want):
    assert got.keys() == want.keys()
    assert [name for name, value in want.items() if not torch.equal(got[name], value)] == []
