"""The check of text encoders finds what is wrong, by the name of the law."""

import pytest
import torch

from linearsr.core.structures import GuidanceTokens
from linearsr.guidance.text_encoders.conformance import check_text_encoder
from linearsr.guidance.text_encoders.padding import pad_tokens


class Letters:
    """A text encoder in five lines: a token of three features for each of the first twenty letters, and one for the end."""

    width = 3
    identity = "Letters"

    def tokens(self, text):
        codes = torch.tensor([*map(ord, text[:20]), 0.0])
        return torch.stack([codes.sin(), codes.cos(), codes / 2**21], dim=1)

    def __call__(self, texts):
        return pad_tokens([self.tokens(text) for text in texts])


class ChangingIdentity(Letters):
    calls = 0

    @property
    def identity(self):
        self.calls += 1
        return f"Letters {self.calls}"


class OtherWidth(Letters):
    width = 4


class NaNBehindTheMask(Letters):
    def __call__(self, texts):
        given = super().__call__(texts)
        return GuidanceTokens(given.tokens.masked_fill(~given.mask[..., None], torch.nan), given.mask)


class PaddedToTheLeft(Letters):
    def __call__(self, texts):
        given = super().__call__(texts)
        return GuidanceTokens(given.tokens.flip(1), given.mask.flip(1))


class LongerThanTheLongest(Letters):
    def __call__(self, texts):
        given = super().__call__(texts)
        pad = torch.nn.functional.pad
        return GuidanceTokens(pad(given.tokens, (0, 0, 0, 1)), pad(given.mask, (0, 1)))


class Restless(Letters):
    def tokens(self, text):
        return super().tokens(text) + torch.rand(1)


class CentredOnTheBatch(Letters):
    def __call__(self, texts):
        given = super().__call__(texts)
        return GuidanceTokens(given.tokens - 1e-6 * given.tokens.mean(), given.mask)


class Numbered(Letters):
    def __call__(self, texts):
        given = super().__call__(texts)
        return GuidanceTokens(given.tokens + torch.arange(len(texts))[:, None, None], given.mask)


class Deaf(Letters):
    def tokens(self, text):
        return super().tokens("")


class NothingForNothing(Letters):
    def tokens(self, text):
        return super().tokens(text)[:-1]


class LatinOnly(Letters):
    def tokens(self, text):
        text.encode("latin-1")
        return super().tokens(text)


class NaNFarOut(Letters):
    def tokens(self, text):
        return super().tokens(text) / (len(text) < 10_000)


class Trained(Letters):
    def tokens(self, text):
        return super().tokens(text).requires_grad_()


class Inferring(Letters):
    def __call__(self, texts):
        with torch.inference_mode():
            return super().__call__(texts)


class UnderAutocast(Letters):
    def tokens(self, text):
        return super().tokens(text) @ torch.full((3, 3), 0.3)


class Drawing(Letters):
    def tokens(self, text):
        torch.rand(1)
        return super().tokens(text)


def test_letters_conform():
    check_text_encoder(Letters()).require()


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (ChangingIdentity, "identity a text that stays"),
        (OtherWidth, "[B, L, width]"),
        (NaNBehindTheMask, "finite"),
        (PaddedToTheLeft, "the mask covers"),
        (LongerThanTheLongest, "L is the longest"),
        (Restless, "the same texts"),
        (CentredOnTheBatch, "do not depend on the others"),
        (Numbered, "another order"),
        (Deaf, "different texts"),
        (NothingForNothing, "an empty text"),
        (LatinOnly, "unusual texts"),
        (NaNFarOut, "any length"),
        (Trained, "no gradient"),
        (Inferring, "no gradient"),
        (UnderAutocast, "autocast"),
        (Drawing, "random state"),
    ],
)
def test_the_check_names_the_law_that_a_broken_encoder_breaks(broken, law):
    report = check_text_encoder(broken())
    assert any(law in finding.law for finding in report.failed), str(report)
