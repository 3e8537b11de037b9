"""Every registered text encoder keeps its contract: the embedded one as it is, the others with random weights on disk."""

import pytest

from linearsr.core.registries import TEXT_ENCODERS
from linearsr.guidance.text_encoders.conformance import check_text_encoder
from tests.guidance.text_encoders.tiny import write_clip, write_gemma, write_t5

WRITERS = {"GemmaTextEncoder": write_gemma, "T5TextEncoder": write_t5, "CLIPTextEncoder": write_clip}
OPTIONS = {
    "GemmaTextEncoder": {"instruction": "tell what is to be seen\nuser prompt: ", "dtype": "float64"},
    "T5TextEncoder": {"max_tokens": 40, "dtype": "float16"},
    "CLIPTextEncoder": {"hidden_layer": -2, "dtype": "bfloat16"},
    "MiniLMTextEncoder": {"dtype": "bfloat16", "max_tokens": 32},
}
"""Besides the options by default."""


def cases():
    for name in TEXT_ENCODERS.own():
        yield name, {}
        if name in OPTIONS:
            yield name, OPTIONS[name]


@pytest.mark.parametrize(("name", "options"), list(cases()))
def test_text_encoder_keeps_its_contract(name, options, tmp_path):
    folder = {"folder": str(WRITERS[name](tmp_path))} if name in WRITERS else {}
    check_text_encoder(TEXT_ENCODERS.build({"type": name, **folder, **options})).require()


@pytest.mark.gpu
@pytest.mark.parametrize("name", TEXT_ENCODERS.own())
def test_text_encoder_keeps_its_contract_on_a_gpu(name, tmp_path):
    folder = {"folder": str(WRITERS[name](tmp_path))} if name in WRITERS else {}
    check_text_encoder(TEXT_ENCODERS.build({"type": name, "device": "cuda", **folder})).require()
