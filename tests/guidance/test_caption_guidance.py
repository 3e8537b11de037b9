"""Captions and users' words."""

import pytest
import torch

from linearsr.core.errors import ConfigError, DataError, PluginLoadError, ShapeError
from linearsr.guidance import CaptionGuidance, PromptGuidance
from tests.guidance.fakes import ENCODER, ToyEncoder, brightness
from tests.guidance.test_tag_guidance import assert_told, painted

BRIGHTNESS = "tests.guidance.fakes:brightness"


def test_captions_come_as_prompts_before_the_captioner_is_asked():
    captions = CaptionGuidance(ENCODER, captioner=BRIGHTNESS, positive="clean")
    assert_told(captions(painted("r", "rgb")), ["a picture of brightness 0.3, clean", "a picture of brightness 1.0, clean"])
    assert_told(captions(painted("r", "rgb"), ["a  red\nwall", ""]), ["a red wall, clean", "clean"])


def test_a_picture_without_a_caption_has_no_token_that_counts():
    assert CaptionGuidance(ENCODER)(painted("r", "g"), ["", "a wall"]).mask.any(1).tolist() == [False, True]


def test_without_any_text_the_error_says_where_to_get_one():
    with pytest.raises(ConfigError, match=r"CaptionGuidance has no text: .*ReadSidecarText.*guidance\.captioner"):
        CaptionGuidance(ENCODER)(painted("r"))


def test_commas_and_braces_of_a_caption_are_its_own():
    assert_told(CaptionGuidance(ENCODER)(painted("r"), ["a, {caption}, b"]), ["a, {caption}, b"])


class Brightness:
    def __init__(self, identity):
        self.identity = identity

    def __call__(self, image_01):
        return brightness(image_01)


def test_a_captioner_may_be_an_object_and_its_identity_is_part_of_ours():
    first, second = (CaptionGuidance(ENCODER, captioner=Brightness(name)) for name in ("one", "two"))
    assert_told(first(painted("r")), ["a picture of brightness 0.3"])
    by_name = [CaptionGuidance(ENCODER, captioner=captioner).identity for captioner in (BRIGHTNESS, brightness, None)]
    assert by_name[0] == by_name[1]
    assert len({first.identity, second.identity, *by_name}) == 4


class Nameless:
    def __call__(self, image_01):
        return brightness(image_01)


@pytest.mark.parametrize("captioner", [Nameless(), lambda image_01: brightness(image_01)])
def test_a_captioner_that_no_name_tells_apart_serves_but_has_no_identity(captioner):
    captions = CaptionGuidance(ENCODER, captioner=captioner)
    assert_told(captions(painted("r")), ["a picture of brightness 0.3"])
    with pytest.raises(ConfigError, match="give it an `identity`"):
        captions.identity  # noqa: B018


@pytest.mark.parametrize(
    ("captioner", "error"),
    [("nowhere_to_be_found:caption", PluginLoadError), (f"{BRIGHTNESS}_", PluginLoadError), (3, ConfigError)],
)
def test_a_captioner_that_is_not_there_is_refused_when_it_is_built(captioner, error):
    with pytest.raises(error, match=r"guidance\.captioner"):
        CaptionGuidance(ENCODER, captioner=captioner)


@pytest.mark.parametrize("answer", ["a wall", [], ["a", "b"], [3]])
def test_a_captioner_that_gives_no_text_is_named(answer):
    with pytest.raises(DataError, match=r"guidance\.captioner gave"):
        CaptionGuidance(ENCODER, captioner=lambda image_01: answer)(painted("r"))


def test_there_is_one_caption_for_each_picture():
    with pytest.raises(ShapeError, match="1 prompts for 2 pictures"):
        CaptionGuidance(ENCODER)(painted("r", "g"), ["a wall"])


def test_a_fixed_text_is_told_of_every_picture_but_those_with_words_of_their_own():
    fixed = PromptGuidance(ENCODER, text="cat, sofa", positive="clean")
    assert_told(fixed(painted("r", "g")), ["cat, sofa, clean"] * 2)
    assert_told(fixed(painted("r", "g"), ["dog", ""]), ["dog, clean", "clean"])
    assert not PromptGuidance(ENCODER)(painted("r")).mask.any()


def test_the_text_is_part_of_the_identity():
    assert len({PromptGuidance(ENCODER, text=text).identity for text in ("", "cat", "dog")}) == 3


def test_a_negative_prompt_alone():
    negative = PromptGuidance(ENCODER, negative=" noise,\n blur ").negative(2)
    assert torch.equal(negative.tokens, ToyEncoder()(["noise, blur"] * 2).tokens)


def test_a_fixed_text_is_a_text():
    assert_told(PromptGuidance(ENCODER, text=["cat", "sofa"])(painted("r")), ["cat, sofa"])
    with pytest.raises(ConfigError, match=r"guidance\.text is 3"):
        PromptGuidance(ENCODER, text=3)
