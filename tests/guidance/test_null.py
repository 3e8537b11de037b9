"""Null guidance says nothing."""

import pytest
import torch

from linearsr.core.errors import ConfigError
from linearsr.guidance import NullGuidance


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


def test_its_identity_tells_widths_apart():
    assert NullGuidance(width=5).identity == NullGuidance(width=5).identity != NullGuidance(width=6).identity
