"""The check of guidance passes what is right and finds what is wrong."""

import pytest
import torch
from torch import nn

from linearsr.core.errors import DataError
from linearsr.core.structures import GuidanceTokens
from linearsr.guidance import NullGuidance
from linearsr.guidance.conformance import check_guidance
from linearsr.guidance.prompt_template import checked_prompts
from tests.guidance.fakes import ToyEncoder
from tests.strategies import normal


class Colours(NullGuidance):
    """Real guidance in one line: mean colour, one word a picture."""

    def __call__(self, image_01, prompts=None):
        if prompts is not None:
            return super().__call__(image_01, prompts)
        if not bool(image_01.isfinite().all()):
            raise DataError("NaN or Inf in the picture")
        words = image_01.mean((2, 3))[:, None].repeat(1, 1, 2)[..., : self.width]
        return GuidanceTokens(words, torch.ones(len(image_01), 1, dtype=torch.bool))


class FirstOfTheBatch(Colours):
    def __call__(self, image_01, prompts=None):
        return super().__call__(image_01[:1].expand_as(image_01), prompts)


class Restless(Colours):
    def __call__(self, image_01, prompts=None):
        given = super().__call__(image_01, prompts)
        return GuidanceTokens(given.tokens + torch.rand(1), given.mask)


class DeafToPrompts(Colours):
    def __call__(self, image_01, prompts=None):
        return super().__call__(image_01)


class WrongWidth(Colours):
    def __call__(self, image_01, prompts=None):
        given = super().__call__(image_01, prompts)
        return GuidanceTokens(given.tokens[..., :2], given.mask)


class ChangesThePicture(Colours):
    def __call__(self, image_01, prompts=None):
        image_01.mul_(0.5)
        return super().__call__(image_01, prompts)


class NaNOnBlankPictures(Colours):
    def __call__(self, image_01, prompts=None):
        given = super().__call__(image_01, prompts)
        return GuidanceTokens(given.tokens / image_01.std(), given.mask)


class HiddenNull(Colours):
    def null(self, batch):
        return GuidanceTokens(super().null(batch).tokens, torch.zeros(batch, 1, dtype=torch.bool))


class BlindToNaN(Colours):
    def __call__(self, image_01, prompts=None):
        return super().__call__(image_01.nan_to_num(0.5), prompts)


class Dice(Colours):
    def __call__(self, image_01, prompts=None):
        torch.rand(1)
        return super().__call__(image_01, prompts)


class InEveryCheckpoint(nn.Module):
    source, cacheable, width = "lr", True, 6

    def __init__(self, width):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, image_01, prompts=None):
        return Colours(6)(image_01 - self.mean.view(3, 1, 1), prompts)

    def null(self, batch):
        return Colours(6).null(batch)


class Trained(Colours):
    def __call__(self, image_01, prompts=None):
        given = super().__call__(image_01, prompts)
        return GuidanceTokens(given.tokens * nn.Parameter(torch.ones(1)), given.mask)


class SilentNegative(Colours):
    def negative(self, batch):
        return GuidanceTokens(torch.zeros(batch, 2, self.width), torch.zeros(batch, 2, dtype=torch.bool))


class OtherIdentityAfterwards(Colours):
    calls = 0

    @property
    def identity(self):
        return f"after {self.calls} calls"

    def __call__(self, image_01, prompts=None):
        self.calls += 1
        return super().__call__(image_01, prompts)


class Words(Colours):
    """Reads prompts, as it should."""

    def __call__(self, image_01, prompts=None):
        if prompts is None:
            return super().__call__(image_01)
        return ToyEncoder(self.width)(checked_prompts(prompts, len(image_01)))


class TheFirstForAll(Words):
    def __call__(self, image_01, prompts=None):
        return super().__call__(image_01, prompts and [prompts[0]] * len(image_01))


class CountsNot(Words):
    def __call__(self, image_01, prompts=None):
        return super().__call__(image_01, prompts and [*prompts, *prompts][: len(image_01)])


class AsciiOnly(Words):
    def __call__(self, image_01, prompts=None):
        return super().__call__(image_01, prompts and [prompt.encode("ascii").decode() for prompt in prompts])


@pytest.mark.parametrize("right", [Colours, Words])
def test_a_guidance_that_looks_at_pictures_conforms(right):
    check_guidance(right(width=6)).require()


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (FirstOfTheBatch, "do not depend on the batch"),
        (Restless, "same tokens"),
        (DeafToPrompts, "read or refused"),
        (WrongWidth, "[B, L, width]"),
        (ChangesThePicture, "left alone"),
        (NaNOnBlankPictures, "blank"),
        (HiddenNull, "null"),
        (BlindToNaN, "NaN"),
        (Dice, "random numbers"),
        (InEveryCheckpoint, "checkpoint"),
        (Trained, "gradient"),
        (SilentNegative, "negative"),
        (OtherIdentityAfterwards, "identity"),
        (TheFirstForAll, "its own prompt"),
        (CountsNot, "one prompt for each"),
        (AsciiOnly, "unusual"),
    ],
)
def test_the_check_names_the_law_that_a_broken_guidance_breaks(broken, law):
    report = check_guidance(broken(width=6), normal(0, 3, 3, 8, 8, dtype=torch.float32).sigmoid())
    assert any(law in finding.law for finding in report.failed), str(report)
