"""Texts to tokens: each alone, whatever stands beside it; what is too long is cut, what is no text refused."""

import warnings

import pytest
import torch
from hypothesis import given, settings

from linearsr.core.errors import DataError
from linearsr.guidance import CLIPTextEncoder, MiniLMTextEncoder, T5TextEncoder
from linearsr.guidance.text_encoders import TextCutWarning
from linearsr.guidance.text_encoders.conformance import words_of
from linearsr.guidance.text_encoders.padding import pad_tokens
from tests.strategies import normal, token_lengths, unicode_texts

NAMES = ["MiniLM", "Gemma", "T5", "CLIP"]


@settings(max_examples=12)
@given(unicode_texts)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::linearsr.guidance.text_encoders.TextCutWarning")
def test_any_text_has_finite_tokens_that_no_other_text_changes(encoders, name, texts):
    encoder = encoders[name]
    together = encoder(texts)
    assert together.tokens.isfinite().all()
    assert not together.tokens[~together.mask].any()
    for text, words in zip(texts, words_of(together), strict=True):
        assert len(words) >= 1
        assert torch.equal(encoder([text]).tokens[0], words)


@given(token_lengths)
def test_padding_keeps_every_token_and_adds_zeros_behind_the_mask(lengths):
    encoded = [normal(number, length, 3) for number, length in enumerate(lengths)]
    padded = pad_tokens(encoded)
    assert padded.tokens.shape == (len(lengths), max(lengths), 3)
    assert all(torch.equal(words, own) for words, own in zip(words_of(padded), encoded, strict=True))
    assert not padded.tokens[~padded.mask].any()


@pytest.mark.parametrize("most", [3, 4, 7, 77])
def test_a_text_that_is_too_long_keeps_its_first_words_and_both_marks(folders, most):
    encoder = CLIPTextEncoder(folders["clip"], max_tokens=most)
    tokenizer = encoder.load().tokenizer
    whole = tokenizer("cat dog sky")["input_ids"]
    reading = encoder._read(tokenizer, "cat dog sky")
    assert reading.ids == ([*whole[: most - 1], whole[-1]] if most < len(whole) else whole)
    assert reading.cut == max(0, len(whole) - most)


def test_how_much_was_cut_is_told_once(folders):
    encoder = T5TextEncoder(folders["t5"], max_tokens=10)
    with pytest.warns(
        TextCutWarning, match=r"T5TextEncoder reads 10 of the 301 tokens of 'cat cat .*the last 291 do not"
    ) as told:
        assert encoder(["cat " * 100, "dog " * 100]).tokens.shape[1] == 10
    assert [warning.filename for warning in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder(["sky " * 100])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::linearsr.guidance.text_encoders.TextCutWarning")
def test_ten_thousand_words_and_five_thousand_tags_are_read_as_far_as_there_is_room(encoders, name):
    encoder = encoders[name]
    given = encoder(["word " * 10_000, ", ".join(f"tag {number}" for number in range(5_000)), "word"])
    assert given.mask.sum(1)[:2].tolist() == [encoder.max_tokens] * 2
    assert given.tokens.isfinite().all()


def test_characters_that_minilm_does_not_know_are_all_one_token():
    encoder = MiniLMTextEncoder()
    assert torch.equal(encoder(["猫"]).tokens, encoder(["𓃠"]).tokens)
    assert not torch.equal(encoder(["кот"]).tokens, encoder(["дом"]).tokens)


@pytest.mark.parametrize("name", NAMES)
def test_half_a_surrogate_pair_is_read_as_the_replacement_character(encoders, name):
    assert torch.equal(encoders[name](["a\udcffb"]).tokens, encoders[name](["a\N{REPLACEMENT CHARACTER}b"]).tokens)


@pytest.mark.parametrize(
    ("texts", "said"), [("a cat", "put it in brackets"), ([], "no text to encode"), (["a", None], "a text is None")]
)
def test_what_is_no_list_of_texts_is_refused(folders, texts, said):
    with pytest.raises(DataError, match=said):
        CLIPTextEncoder(folders["clip"])(texts)
