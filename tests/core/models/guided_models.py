"""Tiny models with guidance, and pictures, prompts and tokens for them."""

import copy
from functools import cache

import torch

from linearsr.core.models import LinearSR
from linearsr.core.registries import GUIDERS
from linearsr.core.structures import GuidanceTokens, SRBatch
from tests.guidance.fakes import ENCODER
from tests.strategies import normal

WIDTH = 8
WORDS = {"type": "PromptGuidance", "text_encoder": ENCODER, "text": "a cat", "negative": "noise and blur"}
DENOISER = {
    "type": "LinearDiT", "depth": 1, "width": 16, "head_width": 8, "attention": {"type": "ReLULinearAttention"},
    "feed_forward": {"type": "GatedConvFeedForward", "ratio": 1.0}, "lr_stem": {"type": "ConvStem", "width": 8, "depth": 1},
}  # fmt: skip
MIXTURE = {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": DENOISER}
TOLERANCE = 5e-6
"""Of the largest value: products of float32 are summed in another order by batch size (as for mixtures)."""


def model(**changes) -> LinearSR:
    parts = {
        "autoencoder": {"type": "ResidualPixelShuffle"},
        "denoiser": DENOISER,
        "path": {"type": "RectifiedFlow"},
        "time_sampler": {"type": "UniformTimes"},
        "time_grid": {"type": "UniformGrid"},
        "solver": {"type": "Euler"},
        "guidance": WORDS,
        "preconditioner": {"type": "VelocityPreconditioner"},
    }
    torch.manual_seed(0)
    made = LinearSR(4, **(parts | changes))
    for name, parameter in made.named_parameters():
        if name.endswith("guidance_projection.norm.weight"):
            torch.nn.init.ones_(parameter)  # as after training; it starts at 0.01, where tokens hardly tell
    return made


@cache
def shared() -> LinearSR:
    """Not to be changed."""
    return model()


def guided_by(method, **guider):
    """A copy that shares everything but the guider."""
    experts = len(method.denoiser.experts) if hasattr(method.denoiser, "experts") else None
    other = copy.copy(method)
    other.guider = GUIDERS.build({"type": "ClassifierFreeGuidance", **guider}, log_snr=method.path.log_snr, num_experts=experts)
    return other


class Counted:
    """How often the denoiser is called and prepared."""

    def __init__(self, method, monkeypatch):
        self.calls, self.prepared, denoiser = 0, [], method.denoiser
        forward, prepare = denoiser.forward, denoiser.prepare

        def counted_forward(*given, **named):
            self.calls += 1
            return forward(*given, **named)

        def counted_prepare(lr, guidance, times=None):
            self.prepared.append(guidance)
            return prepare(lr, guidance, times)

        monkeypatch.setattr(denoiser, "forward", counted_forward)
        monkeypatch.setattr(denoiser, "prepare", counted_prepare)


def photos(seed, batch, side=3):
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(seed))


def training_batch(seed, batch=4):
    hr = photos(seed, batch, 8)
    return SRBatch(hr[..., ::4, ::4].contiguous(), tuple(range(seed, seed + batch)), hr)


def tokens(seed, lengths):
    """Each picture's own [L, D] tokens."""
    return [normal(seed + i, length, WIDTH, dtype=torch.float32) for i, length in enumerate(lengths)]


def padded(own, extra=0, filling=0.0):
    """As one batch, `extra` tokens longer than the longest, with `filling` behind the mask."""
    length = max(len(each) for each in own) + extra
    full, mask = torch.full((len(own), length, WIDTH), filling), torch.zeros(len(own), length, dtype=torch.bool)
    for i, each in enumerate(own):
        full[i, : len(each)], mask[i, : len(each)] = each, True
    return GuidanceTokens(full, mask)


def assert_close(got, want):
    assert (got - want).abs().max() <= TOLERANCE * want.abs().max()
