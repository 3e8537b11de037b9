"""Guidance of a few lines for caches. Named in configs by its dotted path."""

import time

import torch

from linearsr.core.structures import GuidanceTokens

TYPE = "tests.core.data.toy_guidance.ToyGuidance"


class ToyGuidance:
    """One to five tokens, by how bright the picture is, of its means and the length of its prompt.

    seconds: that a look takes; dtype: of the tokens, which `identity` does not tell, as a careless third party's
    """

    source = "hr"
    cacheable = True
    reads_prompts = True
    looks = 0

    def __init__(self, width: int = 4, seconds: float = 0.0, dtype: str = "float32", source: str = "hr"):
        self.width, self.seconds, self.dtype, self.source = width, seconds, getattr(torch, dtype), source

    @property
    def identity(self):
        return f"ToyGuidance(width={self.width})"

    def __call__(self, image_01, prompts=None):
        type(self).looks += 1
        time.sleep(self.seconds)
        [picture], words = image_01, prompts or [""]
        length = 1 + int(4.999 * picture.mean())
        told = torch.tensor([*picture.mean((1, 2)), len(words[0])])
        tokens = torch.outer(torch.arange(1.0, length + 1), told.repeat(self.width)[: self.width]).to(self.dtype)
        return GuidanceTokens(tokens[None], torch.ones(1, length, dtype=torch.bool))

    def null(self, batch):
        return GuidanceTokens(torch.zeros(batch, 1, self.width), torch.ones(batch, 1, dtype=torch.bool))

    def prompts(self, image_01, given):
        return given or [f"brightness {image_01.mean():.2f}"]


class Changing(ToyGuidance):
    cacheable = False


class Nameless(ToyGuidance):
    identity = None


class Broken(ToyGuidance):
    """Of a bright picture, NaN."""

    def __call__(self, image_01, prompts=None):
        given = super().__call__(image_01, prompts)
        return GuidanceTokens(torch.full_like(given.tokens, float("nan")), given.mask) if image_01.mean() > 0.5 else given


class Reader(ToyGuidance):
    """Its words and their tokens are had apart."""

    def __call__(self, image_01, prompts=None):
        return self.encode(self.prompts(image_01, prompts))

    def prompts(self, image_01, given):
        type(self).looks += 1
        return super().prompts(image_01, given)

    def encode(self, texts):
        tokens = torch.tensor([[[float(len(text)), sum(text.encode())] * (self.width // 2)] for text in texts])
        return GuidanceTokens(tokens, torch.ones(len(texts), 1, dtype=torch.bool))
