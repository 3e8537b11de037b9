"""The checks of denoisers, feed-forwards and stems find what is wrong."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from linearsr.core.backbones import ConvStem, GatedConvFeedForward, LinearDiT
from linearsr.core.backbones.conformance import check_denoiser, check_feed_forward, check_stem

SMALL = {
    "depth": 1,
    "width": 16,
    "head_width": 8,
    "attention": {"type": "ReLULinearAttention"},
    "feed_forward": {"type": "GatedConvFeedForward", "ratio": 1.0},
    "lr_stem": {"type": "ConvStem", "width": 4, "depth": 2},
}


class RoundsItsTimes(LinearDiT):
    def forward(self, z_t, t, lr, guidance, *, prepared=None):
        if prepared is not None and prepared.tables is not None:
            times = prepared.tables.times
            t = times[(times[None] - t[:, None]).abs().argmin(-1)]
        return super().forward(z_t, t, lr, guidance, prepared=prepared)


class PreparesForOneTime(LinearDiT):
    """Takes the first time for all."""

    def prepare(self, lr, guidance, times=None):
        prepared = super().prepare(lr, guidance, times)
        if prepared.tables is None:
            return prepared
        tables = prepared.tables
        first = [table[:, :1].expand_as(table) for table in tables.blocks]
        return replace(prepared, tables=replace(tables, blocks=tuple(first)))


class IgnoresWhatIsBeside(LinearDiT):
    def forward(self, z_t, t, lr, guidance, *, prepared=None):
        if prepared is not None:
            lr = guidance = None
        return super().forward(z_t, t, lr, guidance, prepared=prepared)


class Deaf(LinearDiT):
    """Takes the LR picture, looks at a black one."""

    def prepare(self, lr, guidance, times=None):
        return super().prepare(0 * lr, guidance, times)


class TimeOfTheFirstPicture(LinearDiT):
    def tables(self, t):
        return super().tables(t[:1].expand_as(t))


class RoundsTimesToSixteenBits(LinearDiT):
    def forward(self, z_t, t, lr, guidance, *, prepared=None):
        return super().forward(z_t, t.bfloat16().to(torch.float32), lr, guidance, prepared=prepared)


class ReadsBehindTheMask(LinearDiT):
    def prepare(self, lr, guidance, times=None):
        if guidance is not None:
            guidance = replace(guidance, mask=torch.ones_like(guidance.mask))
        return super().prepare(lr, guidance, times)


class Remembers(LinearDiT):
    """Counts its calls."""

    calls = 0

    def forward(self, z_t, t, lr, guidance, *, prepared=None):
        self.calls += 1
        return super().forward(z_t, t, lr, guidance, prepared=prepared) * (1 + 1e-3 * self.calls)


class LeavesABlockOut(LinearDiT):
    def __init__(self, depth, width, head_width, **options):
        super().__init__(depth, width, head_width, **options)
        self.spare = nn.Linear(width, width)


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (RoundsItsTimes, "computed, not rounded"),
        (PreparesForOneTime, "prepared with its times"),
        (IgnoresWhatIsBeside, "beside prepared is refused"),
        (Deaf, "another lr"),
        (TimeOfTheFirstPicture, "does not depend on its batch"),
        (RoundsTimesToSixteenBits, "16-bit times"),
        (ReadsBehindTheMask, "behind the mask"),
        (ReadsBehindTheMask, "all False is no guidance"),
        (Remembers, "serves again and again"),
        (LeavesABlockOut, "every parameter"),
    ],
)
def test_a_broken_denoiser_is_told_which_law_it_breaks(broken, law):
    report = check_denoiser(broken, SMALL)
    assert any(law in finding.law for finding in report.failed), str(report)


@pytest.mark.parametrize("broken", [IgnoresWhatIsBeside, LeavesABlockOut, RoundsItsTimes])
def test_laws_that_are_kept_are_not_blamed(broken):
    report = check_denoiser(broken, SMALL)
    assert len(report.failed) == 1, str(report)


@pytest.mark.parametrize(
    ("options", "tried"),
    [
        ({"lr_stem": None}, {"needs_lr": False}),
        ({}, {"guidance_width": None}),
        ({"patch_size": 2}, {"patch_size": 2, "latent_factor": 8, "upscale": 2}),
        ({"zero_init": True, "position_scale": 1.0, "cross_qk_norm": True}, {"latent_channels": 5}),
        ({"attention": {"type": "SoftmaxAttention", "qk_norm": True}}, {"latent_factor": 4, "upscale": 4}),
    ],
)
def test_every_form_of_the_dit_keeps_the_contract(options, tried):
    check_denoiser(LinearDiT, SMALL | options, **tried).require()


def test_what_was_not_tried_is_said():
    report = check_denoiser(LinearDiT, SMALL | {"lr_stem": None}, needs_lr=False, guidance_width=None)
    skipped = {finding.law for finding in report.require().findings if finding.status == "skipped"}
    assert skipped == {
        "another lr gives another output",
        "another guidance gives another output",
        "lr or guidance beside prepared is refused",
        "tokens behind the mask change nothing",
        "a mask that is all False is no guidance",
    }


class ForgetsTheEnd(GatedConvFeedForward):
    def forward(self, x, grid):
        return super().forward(x, grid)[:, : grid[0]]


class WrongAboutItsWidth(ConvStem):
    def __init__(self, stride, *, width=4):
        super().__init__(stride, width=width)
        self.out_channels = width + 1


class OneTooMany(ConvStem):
    """Pads once more than it should, which shows where the stride is 1."""

    def forward(self, lr_pm1):
        return super().forward(lr_pm1) if self.stride > 1 else nn.functional.pad(super().forward(lr_pm1), (0, 1))


def test_a_broken_feed_forward_or_stem_is_told_which_law_it_breaks():
    assert "as many tokens out" in check_feed_forward(ForgetsTheEnd).failed[0].law
    assert len(check_stem(WrongAboutItsWidth).failed) == 4
    assert {finding.law[-8:] for finding in check_stem(OneTooMany, {"width": 4}).failed} == {"stride 1"}


class SeesFartherThanItSays(GatedConvFeedForward):
    halo = 0


class StemThatSeesFartherThanItSays(ConvStem):
    def __init__(self, stride, *, width=4):
        super().__init__(stride, width=width)
        self.halo = 0


class Negative(GatedConvFeedForward):
    halo = -1


def test_a_halo_that_is_too_small_is_told():
    assert [finding.law[:13] for finding in check_feed_forward(SeesFartherThanItSays).failed] == ["declared halo"]
    assert [finding.law[:13] for finding in check_stem(StemThatSeesFartherThanItSays).failed] == ["declared halo"] * 4
    assert "wanted a whole number" in check_feed_forward(Negative).failed[0].detail


def test_anybodys_feed_forward_and_stem_pass():
    class Gate(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.inner = nn.Linear(dim, dim)

        def forward(self, x, grid):
            return x * self.inner(x).sigmoid()

    class Shuffle(nn.Module):
        def __init__(self, stride):
            super().__init__()
            self.stride, self.out_channels = stride, 3 * stride**2

        def forward(self, lr_pm1):
            return nn.functional.pixel_unshuffle(lr_pm1, self.stride)

    check_feed_forward(Gate).require()
    check_stem(Shuffle).require()
