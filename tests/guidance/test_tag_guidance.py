"""TAG: tags to prompt to tokens."""

import copy
import pickle
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, DataError, ShapeError, UnknownComponentError
from linearsr.core.structures import Tag
from linearsr.guidance import TagGuidance
from linearsr.guidance.tag_guidance import ToldTags
from tests.guidance.fakes import ENCODER, TAGGER, ToyEncoder

MINILM = {"type": "MiniLMTextEncoder", "max_tokens": 64}
SEESR = {"positive": "clean, high-resolution, 8k", "negative": "dotted, noise, blur, lowres, smooth"}


def guidance(tagger=TAGGER, text_encoder=ENCODER, **options):
    return TagGuidance(tagger, text_encoder, **options)


def painted(*colours):
    """One plain picture for each: the letters of "rgb" that it has."""
    return torch.stack([torch.tensor([float(c in own) for c in "rgb"]) for own in colours])[..., None, None].repeat(1, 1, 5, 7)


def words(given):
    return [tokens[mask] for tokens, mask in zip(given.tokens, given.mask, strict=True)]


def assert_told(given, texts):
    """Each picture has the tokens of its text; one with nothing to tell has none."""
    for own, text in zip(words(given), texts, strict=True):
        assert torch.equal(own, ToyEncoder()([text]).tokens[0] if text else own.new_zeros(0, 8))


def test_tags_are_told_in_their_order_with_the_separator():
    told = guidance(separator=" | ").explain(painted("rb", "", "rgb"))
    assert [one.prompt for one in told] == ["red | blue", "", "red | green | blue"]
    assert told[0].tags == (Tag("red", 1.0), Tag("blue", 1.0))
    assert str(told[0]) == "red 1.00, blue 1.00 -> 'red | blue'"
    assert str(told[1]) == "no tags -> ''"


def test_seesr_prompt_and_negative():
    seesr = guidance(**SEESR)
    assert_told(seesr(painted("rb", "")), [f"red, blue, {SEESR['positive']}", SEESR["positive"]])
    assert_told(seesr(painted("r"), ["by night"]), [f"red, by night, {SEESR['positive']}"])
    assert_told(seesr.negative(2), [SEESR["negative"]] * 2)


@given(st.lists(st.sampled_from(["", "r", "g", "rg", "rgb"]), min_size=1, max_size=4))
def test_law_a_picture_without_tags_has_no_token_that_counts_and_the_others_have_theirs(colours):
    mask = guidance()(painted(*colours)).mask
    assert mask.any(1).tolist() == [own != "" for own in colours]


def test_no_picture_with_tags_at_all_leaves_one_position_that_is_finite():
    given = guidance()(painted("", ""))
    assert not given.mask.any()
    assert given.tokens.shape[1] >= 1
    assert given.tokens.isfinite().all()


def test_null_is_zero_and_asks_nobody():
    tags = guidance(text_encoder={"type": "MiniLMTextEncoder"})
    assert torch.equal(tags.null(3).tokens, torch.zeros(3, 1, 384))
    assert torch.equal(tags.negative(3).tokens, tags.null(3).tokens)  # no negative prompt
    assert not tags.text_encoder.loaded
    assert tags.tagger.asked == 0


def test_prompts_are_the_users_words_or_take_the_place_of_the_tags():
    image, prompts = painted("r", "g"), ["cat,  sofa\nlamp, cat", ""]
    assert_told(guidance()(image, prompts), ["red, cat, sofa lamp, cat", "green"])
    replacing = guidance(prompts_replace_tags=True)
    assert_told(replacing(image, prompts), ["cat, sofa, lamp", ""])
    assert replacing.tagger.asked == 0
    assert_told(replacing(image), ["red", "green"])


def test_a_prompt_without_a_place_is_refused_not_ignored():
    with pytest.raises(ConfigError, match=r"has no \{user\}"):
        guidance(template="{tags}")(painted("r"), ["cat"])
    assert not guidance(template="{tags}").reads_prompts


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"template": "{user}"}, r"without \{tags\}"),
        ({"template": "{tags}", "positive": "clean"}, r"without \{positive\}"),
        ({"template": "{tags}, {caption}"}, r"\{caption\}; its places are"),
        ({"positive": None}, r"guidance\.positive"),
        ({"negative": 3}, r"guidance\.negative"),
        ({"source": "sr"}, r"guidance\.source is 'sr'"),
        ({"prompts_replace_tags": "no"}, r"guidance\.prompts_replace_tags"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_built(options, said):
    with pytest.raises(ConfigError, match=said):
        guidance(**options)


def test_a_tagger_that_nobody_has_is_named():
    with pytest.raises(UnknownComponentError, match="no tagger named 'FixdTags'; did you mean 'FixedTags'"):
        guidance(tagger={"type": "FixdTags"})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_picture_with_nan_is_refused(value):
    image = painted("r", "g")
    image[1, 0, 2, 2] = value
    with pytest.raises(DataError, match="picture 1"):
        guidance()(image)


def test_tokens_that_are_not_finite_are_refused_and_the_encoder_is_named():
    with pytest.raises(ConfigError, match="BrokenEncoder gave tokens that are not finite for 'red'"):
        guidance(text_encoder={"type": "tests.guidance.fakes.BrokenEncoder"})(painted("r"))


def test_what_is_no_batch_of_pictures_is_refused():
    with pytest.raises(ShapeError, match="wanted a float"):
        guidance()(painted("r")[0])


CHANGES = {
    "tagger": {**TAGGER, "threshold": 0.6},
    "text_encoder": {**ENCODER, "most": 9},
    "template": "{tags}. {user} {positive}",
    "separator": " ",
    "positive": "clean",
    "source": "lr",
    "prompts_replace_tags": True,
}


def test_identity_changes_with_everything_that_can_change_tokens_and_with_nothing_else():
    plain = guidance().identity
    assert guidance(negative="noise").identity == plain
    identities = [plain, *(guidance(**{key: value}).identity for key, value in CHANGES.items())]
    assert len(set(identities)) == len(identities)


def test_a_copy_shares_the_parts_and_unload_reaches_them():
    tags = guidance()
    assert copy.deepcopy(tags) is tags
    assert_told(pickle.loads(pickle.dumps(tags))(painted("g")), ["green"])
    tags.unload()
    assert tags.text_encoder.unloaded == 1


@pytest.mark.parametrize("tagger", ["ManyTags", "ForeignTags"])
@pytest.mark.parametrize("encoder", [ENCODER, MINILM], ids=["toy", "MiniLM"])
def test_thousands_of_tags_and_tags_of_other_scripts_are_answered(tagger, encoder):
    tags = guidance({"type": f"tests.guidance.fakes.{tagger}"}, encoder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a text that was cut
        given = tags(painted("r"))
    assert given.mask.any()
    assert given.tokens.isfinite().all()
    assert given.tokens.shape[1] <= 64


def test_a_prompt_of_ten_thousand_words_is_read_as_far_as_there_is_room():
    tags = guidance(text_encoder=MINILM)
    with pytest.warns(UserWarning, match="reads 64 of the"):
        given = tags(painted("r"), ["word " * 10_000])
    assert given.mask.sum() == 64


def test_a_user_can_print_what_was_told():
    assert repr(ToldTags((Tag("cat"),), "cat")) == "ToldTags(tags=(Tag(name='cat', score=1.0),), prompt='cat')"


def test_the_negative_prompt_is_encoded_once_until_the_encoder_is_moved(monkeypatch):
    asked, call = [], ToyEncoder.__call__
    monkeypatch.setattr(ToyEncoder, "__call__", lambda self, texts: asked.append(texts) or call(self, texts))
    tags = guidance(negative="noise, blur")
    first = tags.negative(2)
    assert torch.equal(tags.negative(3).tokens[:2], first.tokens)
    assert asked == [["noise, blur"]]
    tags.unload()  # what loads it again after a plan would spend memory that the plan has given to the picture
    tags.negative(1)
    assert len(asked) == 1
    tags.text_encoder.device = torch.device("meta")
    tags.negative(1)
    assert len(asked) == 2
