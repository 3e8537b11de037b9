"""Gemma-2: the same tokens as diffusers' SanaPipeline takes, without the padding that it computes."""

import json

import pytest
import torch

from linearsr.core.conformance import close
from linearsr.guidance import GemmaTextEncoder

INSTRUCTION = "tell what is to be seen\n- a cat -> a white cat on a wall\nuser prompt: "
TEXTS = ["", "A red Brick wall ", "cat " * 200, "猫"]
TOLERANCE = 1e-5
"""float32 through two blocks; sums over a masked padding are taken in another order."""


def sana_tokens(folder, texts, instruction, most):
    """diffusers' own loading and encoding."""
    from diffusers import SanaPipeline
    from transformers import AutoTokenizer, Gemma2Model

    pipeline = SanaPipeline(
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=Gemma2Model.from_pretrained(folder / "text_encoder"),
        vae=None,
        transformer=None,
        scheduler=None,
    )
    with torch.no_grad():
        tokens, mask, _, _ = pipeline.encode_prompt(
            texts,
            do_classifier_free_guidance=False,
            device="cpu",
            max_sequence_length=most,
            complex_human_instruction=instruction.split("\n") if instruction else None,
        )
    return tokens, mask.bool()


@pytest.mark.parametrize("instruction", [None, INSTRUCTION])
@pytest.mark.parametrize("most", [300, 20])
@pytest.mark.filterwarnings("ignore::linearsr.guidance.text_encoders.TextCutWarning")
def test_tokens_and_mask_are_those_of_diffusers(folders, instruction, most):
    folder = folders["gemma in a pipeline"]
    given = GemmaTextEncoder(folder, instruction=instruction, max_tokens=most)(TEXTS)
    tokens, mask = sana_tokens(folder, TEXTS, instruction, most)
    assert torch.equal(given.mask, mask[:, : given.mask.shape[1]])
    assert not mask[:, given.mask.shape[1] :].any()
    close("tokens", given.tokens[given.mask], tokens[mask], TOLERANCE)


def test_of_the_instruction_the_first_and_the_last_token_are_kept(folders):
    encoder = GemmaTextEncoder(folders["gemma"], instruction=INSTRUCTION)
    tokenizer = encoder.load().tokenizer
    before = len(tokenizer(INSTRUCTION)["input_ids"])
    reading = encoder._read(tokenizer, "Cat")
    assert reading.ids == tokenizer(INSTRUCTION + "cat")["input_ids"]
    assert reading.kept == [0, *range(before - 1, len(reading.ids))]


def test_the_instruction_acts_through_attention(folders):
    plain = GemmaTextEncoder(folders["gemma"])(["cat"]).tokens
    told = GemmaTextEncoder(folders["gemma"], instruction=INSTRUCTION)(["cat"]).tokens
    words = plain.shape[1] - 1
    assert not torch.allclose(told[:, -words:], plain[:, -words:], rtol=0, atol=1e-3)


def test_letters_and_blanks_are_those_of_sana(folders):
    encoder = GemmaTextEncoder(folders["gemma"])
    assert torch.equal(encoder(["  A Cat\n"]).tokens, encoder(["a cat"]).tokens)


def test_attention_logits_are_capped(copy_of):
    capped = GemmaTextEncoder(copy_of("gemma"))
    before = capped(["a red cat"]).tokens
    path = capped._files.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"attn_logit_softcapping": 1e9}))
    assert not torch.allclose(GemmaTextEncoder(path.parent)(["a red cat"]).tokens, before, rtol=0, atol=1e-3)


def test_every_layout_gives_the_same_tokens(folders):
    given = [GemmaTextEncoder(folders[f"gemma{layout}"])(["a cat"]).tokens for layout in ("", " in shards", " in a pipeline")]
    assert torch.equal(given[0], given[1])
    assert torch.equal(given[0], given[2])
