"""Null guidance says nothing, and the check of guidance finds what is wrong."""

import pytest
import torch

from linearsr.core.errors import ConfigError
from linearsr.core.structures import GuidanceTokens
from linearsr.guidance import NullGuidance
from linearsr.guidance.conformance import check_guidance
from tests.strategies import normal


def test_any_two_pictures_get_the_null_token():
    guidance = NullGuidance(width=5)
    a, b = guidance(torch.zeros(2, 3, 4, 4)), guidance(torch.rand(2, 3, 9, 7))
    for given in (a, b):
        assert torch.equal(given.tokens, guidance.null(2).tokens)
        assert torch.equal(given.mask, torch.ones(2, 1, dtype=torch.bool))


def test_the_token_has_a_root_mean_square_of_one():
    assert NullGuidance(width=7).null(1).tokens.square().mean().item() == 1


def test_a_prompt_is_refused_not_ignored():
    with pytest.raises(ConfigError, match="NullGuidance reads no prompts"):
        NullGuidance()(torch.zeros(1, 3, 4, 4), ["a cat"])


@pytest.mark.parametrize("width", [0, -1, 1.5, True])
def test_an_impossible_width_is_refused(width):
    with pytest.raises(ConfigError, match=r"guidance\.width"):
        NullGuidance(width=width)


class Colours(NullGuidance):
    """Real guidance in one line: mean colour, one word a picture."""

    def __call__(self, image_01, prompts=None):
        if prompts is not None:
            return super().__call__(image_01, prompts)
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


def test_a_guidance_that_looks_at_pictures_conforms():
    check_guidance(Colours(width=6)).require()


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
    ],
)
def test_the_check_names_the_law_that_a_broken_guidance_breaks(broken, law):
    report = check_guidance(broken(width=6), normal(0, 3, 3, 8, 8, dtype=torch.float32).sigmoid())
    assert any(law in finding.law for finding in report.failed), str(report)
