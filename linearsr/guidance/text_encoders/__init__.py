"""Texts to tokens, by frozen language models from folders on disk."""

from linearsr.guidance.text_encoders.base import FrozenTextEncoder
from linearsr.guidance.text_encoders.clip import CLIPTextEncoder
from linearsr.guidance.text_encoders.gemma import GemmaTextEncoder
from linearsr.guidance.text_encoders.minilm import MiniLMTextEncoder
from linearsr.guidance.text_encoders.t5 import T5TextEncoder
from linearsr.guidance.text_encoders.texts import TextCutWarning

__all__ = [
    "CLIPTextEncoder",
    "FrozenTextEncoder",
    "GemmaTextEncoder",
    "MiniLMTextEncoder",
    "T5TextEncoder",
    "TextCutWarning",
]
