"""What guidance by text shares: a template, a frozen text encoder, and what stands for nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from linearsr.core.errors import ConfigError
from linearsr.core.registries import TEXT_ENCODERS
from linearsr.core.structures import GuidanceTokens
from linearsr.guidance.null import zero_token
from linearsr.guidance.prompt_template import PromptTemplate, one_text
from linearsr.guidance.taggers.identity import identity_of

if TYPE_CHECKING:
    from torch import Tensor

    from linearsr.core.protocols import TextEncoder

SOURCES = ("lr", "hr")


class TextGuidance(ABC):
    """One text for each picture, encoded alone; a picture with nothing to tell gets a mask that is all False.

    It is no torch module, and neither are its parts: no weight of theirs is in a checkpoint, and a copy of a model shares them.

    text_encoder: dict(type=…) of TEXT_ENCODERS
    template:     see PromptTemplate; it, `positive` and `negative` may be lists, which are joined
    separator:    between the parts of the template, and between tags
    positive:     told of every picture at its place {positive}, "clean, high-resolution, 8k" (SeeSR); "" for none
    negative:     what no picture should be, "dotted, noise, blur, lowres, smooth" (SeeSR), for classifier-free guidance
    source:       what it looks at in training, "hr" or "lr"; in use there is the LR only
    Raises ConfigError for a value that cannot be, and what the parts raise.
    """

    cacheable = True
    places: Sequence[str] = ("positive",)
    """Of the template."""

    def __init__(
        self,
        text_encoder: Mapping[str, Any],
        template: str | Sequence[str],
        separator: str,
        positive: str | Sequence[str],
        negative: str | Sequence[str],
        source: str,
        required: Sequence[str] = (),
    ):
        must = [*required, *(["positive"] if positive else [])]
        self.template = PromptTemplate(one_text(template, "guidance.template"), separator, self.places, must)
        self.source = checked_source(source)
        self.positive = one_text(positive, "guidance.positive", separator)
        self.negative_prompt = " ".join(one_text(negative, "guidance.negative", separator).split())
        self.text_encoder: TextEncoder = TEXT_ENCODERS.build(text_encoder)
        self._negative: tuple[Any, GuidanceTokens] | None = None

    @property
    def width(self) -> int:
        """D of the text encoder's tokens."""
        return self.text_encoder.width

    @property
    def identity(self) -> str:
        """Of all that decides a picture's tokens; the negative prompt does not. No weights are loaded."""
        told = {"template": self.template.text, "separator": self.template.separator, "positive": self.positive}
        told |= {"source": self.source, "text_encoder": self.text_encoder.identity}
        return identity_of(type(self).__name__, {**self.options(), **told})

    @abstractmethod
    def options(self) -> Mapping[str, Any]:
        """JSON types: what else decides a picture's tokens."""

    @abstractmethod
    def prompts(self, image_01: Tensor, given: Sequence[str] | None) -> list[str]:
        """One text for each picture, "" where there is nothing to tell. given: the prompts of a call."""

    def __call__(self, image_01: Tensor, prompts: Sequence[str] | None = None) -> GuidanceTokens:
        """[B, 3, H, W] in 0..1 -> tokens [B, L, D] on the picture's device, finite behind the mask too."""
        return self.encode(self.prompts(image_01, prompts)).to(image_01.device)

    def encode(self, texts: Sequence[str]) -> GuidanceTokens:
        """Tokens [B, L, D] of what `prompts` told of B pictures, on the text encoder's device: who has the words need not have
        the picture looked at again."""
        return encode_told(self.text_encoder, texts)

    def null(self, batch: int) -> GuidanceTokens:
        """A token of zeros, [batch, 1, D], mask True: what a denoiser makes of it are its projection's biases, which it learns.

        It needs no encoder, so that training from a cache loads none (our choice; the encoding of "" has several tokens).
        """
        return zero_token(batch, self.width)

    def negative(self, batch: int) -> GuidanceTokens:
        """The negative prompt's tokens [batch, L, D], the same for all; those of `null` where there is none.

        Encoded once, until the text encoder has another device.
        """
        if not self.negative_prompt:
            return self.null(batch)
        device = getattr(self.text_encoder, "device", None)
        if self._negative is None or self._negative[0] != device:
            self._negative = device, self.encode([self.negative_prompt])
        once = self._negative[1]
        return GuidanceTokens(once.tokens.expand(batch, -1, -1), once.mask.expand(batch, -1))

    def unload(self) -> None:
        """Gives the memory of its parts back; the next call loads again. The negative prompt's tokens stay."""
        unload(self.text_encoder)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def checked_source(source: str) -> str:
    if source not in SOURCES:
        raise ConfigError(
            f"guidance.source is {source!r}; wanted 'hr' or 'lr', what it looks at in training; change guidance.source"
        )
    return source


def encode_told(encoder: TextEncoder, texts: Sequence[str]) -> GuidanceTokens:
    """B texts -> tokens; the mask of an empty one is all False, so that cross-attention adds exactly 0.

    Raises ConfigError for tokens that are not finite: one of them would make all of a picture NaN.
    """
    import torch

    given = encoder(texts)
    if not bool(given.tokens.isfinite().all()):
        raise ConfigError(
            f"{type(encoder).__name__} gave tokens that are not finite for {texts[0][:40]!r} and its like; wanted whole "
            "weights and a type of a large enough range; change guidance.text_encoder"
        )
    told = torch.tensor([text != "" for text in texts], device=given.mask.device)
    return GuidanceTokens(given.tokens, given.mask & told[:, None])


def unload(part: object) -> None:
    """Calls `part.unload()` where there is one."""
    give_back = getattr(part, "unload", None)
    if give_back is not None:
        give_back()
