"""Several guidances at once."""

import copy

import pytest
import torch
from torch import nn

from linearsr.core.errors import ConfigError
from linearsr.core.structures import GuidanceTokens
from linearsr.guidance import JoinedGuidance, NullGuidance
from linearsr.guidance.text_guidance import TextGuidance
from tests.guidance.fakes import ENCODER, TAGGER, ToyEncoder
from tests.guidance.test_tag_guidance import painted, words

TAGS = {"type": "TagGuidance", "tagger": TAGGER, "text_encoder": ENCODER, "negative": "noise"}
CAPTIONS = {"type": "CaptionGuidance", "text_encoder": ENCODER, "captioner": "tests.guidance.fakes:brightness"}


def null(width=8):
    return {"type": "NullGuidance", "width": width}


def test_tokens_come_one_after_the_other():
    given = JoinedGuidance([TAGS, CAPTIONS])(painted("r", "", "rg"))
    for own, text in zip(words(given), ["red", "", "red, green"], strict=True):
        told = words(ToyEncoder()([text]))[0][: 0 if text == "" else None]
        assert torch.equal(own[: len(told)], told)
        assert len(own) == len(told) + len(["<s>", "a", "picture", "of", "brightness", "0.3"])


def test_widths_must_agree_or_the_narrower_is_filled_up_with_zeros():
    with pytest.raises(ConfigError, match=r"TagGuidance are 8 wide and those of NullGuidance 5; set guidance\.width=8"):
        JoinedGuidance([TAGS, null(5)], source="hr")
    given = JoinedGuidance([null(8), null(5)], width=9)(painted("r"))
    assert given.tokens.tolist() == [[[1.0] * 8 + [0.0], [1.0] * 5 + [0.0] * 4]]
    with pytest.raises(ConfigError, match=r"guidance\.width, for tokens of NullGuidance, is 7"):
        JoinedGuidance([null(8), null(5)], width=7)


def test_what_they_look_at_in_training_must_agree_or_be_said():
    with pytest.raises(ConfigError, match=r"TagGuidance looks at the hr and NullGuidance at the lr.*set guidance\.source"):
        JoinedGuidance([TAGS, null()])
    assert JoinedGuidance([TAGS, null()], source="hr").source == "hr"
    assert JoinedGuidance([TAGS, CAPTIONS]).source == "hr"


def test_prompts_go_to_those_that_read_them():
    joined = JoinedGuidance([TAGS, null()], source="hr")
    assert len(words(joined(painted("r"), ["by night"]))[0]) == len(["<s>", "red,", "by", "night"]) + 1
    with pytest.raises(ConfigError, match="NullGuidance, NullGuidance read none"):
        JoinedGuidance([null(), null()])(painted("r"), ["by night"])


def test_negative_tokens_are_the_parts_own_and_null_where_there_are_none():
    joined = JoinedGuidance([TAGS, null()], source="hr")
    wanted = torch.cat((ToyEncoder()(["noise"]).tokens[0], NullGuidance(8).null(1).tokens[0]))
    assert torch.equal(joined.negative(2).tokens, wanted.expand(2, -1, -1))
    assert torch.equal(joined.null(2).tokens, torch.zeros(2, 1, 8))


class Restless(NullGuidance):
    cacheable = False
    identity = None


def test_one_part_that_cannot_be_cached_is_enough():
    restless = {"type": f"{__name__}.Restless", "width": 8}
    assert JoinedGuidance([null(), null()]).cacheable
    assert not JoinedGuidance([null(), restless]).cacheable
    with pytest.raises(ConfigError, match="Restless has no identity"):
        JoinedGuidance([null(), restless]).identity  # noqa: B018


def test_identity_is_of_all_parts_in_their_order():
    variants = [[TAGS, CAPTIONS], [CAPTIONS, TAGS], [TAGS], [TAGS, {**CAPTIONS, "positive": "clean"}]]
    assert len({JoinedGuidance(parts).identity for parts in variants}) == 4


class Module(nn.Module):
    source, cacheable, width = "lr", True, 8

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))
        self.unlike = nn.Dropout()

    def forward(self, image_01, prompts=None):
        return GuidanceTokens(self.unlike(self.scale).expand(len(image_01), 1, 8), image_01.new_ones(len(image_01), 1).bool())

    def null(self, batch):
        return GuidanceTokens(torch.zeros(batch, 1, 8), torch.ones(batch, 1, dtype=torch.bool))


def test_a_part_that_is_a_torch_module_is_frozen_and_as_in_use():
    joined = JoinedGuidance([{"type": f"{__name__}.Module"}, null()])
    given = joined(painted("r", "g"))
    assert not given.tokens.requires_grad
    assert torch.equal(given.tokens, torch.ones(2, 2, 8))


def test_one_type_for_all_tokens():
    half = {**CAPTIONS, "text_encoder": {**ENCODER, "dtype": "bfloat16"}}
    assert JoinedGuidance([half, TAGS])(painted("r")).tokens.dtype == torch.float32
    assert JoinedGuidance([half, half])(painted("r")).tokens.dtype == torch.bfloat16


@pytest.mark.parametrize("parts", [[], null()])
def test_no_list_of_parts_is_refused(parts):
    with pytest.raises(ConfigError, match=r"guidance\.guidance"):
        JoinedGuidance(parts)


def test_unload_reaches_the_parts_and_a_copy_shares_them():
    joined = JoinedGuidance([TAGS, null()], source="hr")
    joined.unload()
    tags = joined.parts[0]
    assert isinstance(tags, TextGuidance)
    assert tags.text_encoder.unloaded == 1
    assert copy.deepcopy(joined) is joined
