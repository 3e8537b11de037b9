"""Tagger, text encoder and captioner of a few lines, which keep their contracts. Named in configs by their dotted path."""

import hashlib

import torch

from linearsr.core.randomness import generator
from linearsr.core.structures import GuidanceTokens, Tag

COLOURS = ("red", "green", "blue")


class ToyTagger:
    """The colours of which there is more than `threshold` on the average: grey below it has no tags."""

    def __init__(self, threshold: float = 0.52):
        self.threshold = threshold
        self.asked = 0

    @property
    def identity(self):
        return f"ToyTagger(threshold={self.threshold})"

    def __call__(self, image_01):
        self.asked += 1
        means = image_01.mean((2, 3)).tolist()
        return [[Tag(COLOURS[i], mean[i]) for i in range(3) if mean[i] > self.threshold] for mean in means]


class ManyTags(ToyTagger):
    """As a tagger without a limit."""

    def __call__(self, image_01):
        return [[Tag(f"tag {number}", 0.5) for number in range(5000)] for _ in image_01]


class ForeignTags(ToyTagger):
    def __call__(self, image_01):
        return [[Tag("猫"), Tag("кошка"), Tag("قطة")] for _ in image_01]


class ToyEncoder:
    """A mark of the beginning, then a token for each word, up to `most`: random numbers that its letters seed."""

    def __init__(self, width: int = 8, most: int = 64, dtype: str = "float32"):
        self.width, self.most, self.dtype = width, most, getattr(torch, dtype)
        self.unloaded = 0

    @property
    def identity(self):
        return f"ToyEncoder(width={self.width}, most={self.most}, dtype={self.dtype})"

    def __call__(self, texts):
        encoded = [torch.stack([self._token(word) for word in ("<s>", *text.split())[: self.most]]) for text in texts]
        tokens = torch.nn.utils.rnn.pad_sequence(encoded, batch_first=True)
        mask = torch.arange(tokens.shape[1]) < torch.tensor([len(own) for own in encoded])[:, None]
        return GuidanceTokens(tokens, mask)

    def unload(self):
        self.unloaded += 1

    def _token(self, word):
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=7).digest(), "little")
        return torch.randn(self.width, generator=generator(seed)).to(self.dtype)


class BrokenEncoder(ToyEncoder):
    def __call__(self, texts):
        given = super().__call__(texts)
        return GuidanceTokens(given.tokens.fill_(float("nan")), given.mask)


def brightness(image_01):
    """A captioner."""
    return [f"a picture of brightness {picture.mean():.1f}" for picture in image_01]


TAGGER = {"type": "tests.guidance.fakes.ToyTagger"}
ENCODER = {"type": "tests.guidance.fakes.ToyEncoder"}
