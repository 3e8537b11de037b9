"""A long text for each picture: TAG's rival "origin" (LinearSR, Tab. 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from linearsr.core.errors import ConfigError, DataError
from linearsr.core.plugins import load_named
from linearsr.core.registries import GUIDANCE
from linearsr.guidance.prompt_template import checked_prompts
from linearsr.guidance.taggers.pictures import checked_pictures
from linearsr.guidance.text_guidance import TextGuidance, unload

if TYPE_CHECKING:
    from torch import Tensor

    Captioner = Callable[[Tensor], Sequence[str]]
    """[B, 3, H, W] in 0..1 -> a text for each picture, which does not depend on the batch."""


@GUIDANCE.register_module()
class CaptionGuidance(TextGuidance):
    """A long text about the picture -> tokens.

    They come as prompts (`ReadSidecarText` in the pipeline reads files), or from a captioner; none is shipped. Prompts come
    first: with them the captioner is not asked. A picture whose caption is "" gets a mask that is all False. How much of a
    long text counts is the text encoder's `max_tokens`.

    captioner: "module:name" of a function or an object of yours, called with pictures [B, 3, H, W] in 0..1, one at a time, that
               returns a list of texts; from Python the callable itself. Caches know it by its `identity`, a text that
               changes with its options and weights, or, if it has none, by the name of the function
    template:  with {caption} and {positive}
    text_encoder, separator, positive, negative, source: see TextGuidance
    """

    places = ("caption", "positive")
    reads_prompts = True

    def __init__(
        self,
        text_encoder: Mapping[str, Any],
        captioner: str | Callable[..., Any] | None = None,
        template: str | Sequence[str] = "{caption}, {positive}",
        separator: str = ", ",
        positive: str | Sequence[str] = "",
        negative: str | Sequence[str] = "",
        source: str = "hr",
    ):
        super().__init__(text_encoder, template, separator, positive, negative, source, required=["caption"])
        self.captioner: Captioner | None = _captioner(captioner)

    def options(self) -> Mapping[str, Any]:
        return {"captioner": None if self.captioner is None else _identity(self.captioner)}

    def captions(self, image_01: Tensor) -> list[str]:
        """[B, 3, H, W] -> the captioner's text for each picture. Raises ConfigError without one, DataError for no text."""
        if self.captioner is None:
            raise ConfigError(
                "CaptionGuidance has no text: no prompts came with the pictures, and guidance.captioner is None; add "
                "dict(type='ReadSidecarText') to the pipeline, give prompts, or set guidance.captioner"
            )
        return [self._caption(self.captioner, picture[None]) for picture in checked_pictures(image_01)]

    def prompts(self, image_01: Tensor, given: Sequence[str] | None) -> list[str]:
        captions = self.captions(image_01) if given is None else checked_prompts(given, len(image_01))
        return [self.template.fill({"caption": caption, "positive": self.positive}) for caption in captions]

    def unload(self) -> None:
        super().unload()
        unload(self.captioner)

    def _caption(self, captioner: Captioner, picture: Tensor) -> str:
        found = captioner(picture)
        if isinstance(found, str) or len(found) != 1 or not isinstance(found[0], str):
            raise DataError(f"guidance.captioner gave {found!r:.80} for one picture; wanted a list with one text")
        return found[0]


def _captioner(captioner: str | Callable[..., Any] | None) -> Any:
    if isinstance(captioner, str):
        return load_named(captioner, f"guidance.captioner={captioner!r}", "a captioner, called with pictures")
    if captioner is not None and not callable(captioner):
        raise ConfigError(f'guidance.captioner is {captioner!r}; wanted "module:name", a callable or None')
    return captioner


def _identity(captioner: Any) -> str:
    name = getattr(captioner, "__qualname__", "<an object>")
    identity = getattr(captioner, "identity", None if "<" in name else f"{captioner.__module__}:{name}")
    if identity is None:
        raise ConfigError(
            f"guidance.captioner is {captioner!r:.80}, by which no cache could know its texts; give it an `identity`, or make "
            "it a function at the top of a module"
        )
    return str(identity)
