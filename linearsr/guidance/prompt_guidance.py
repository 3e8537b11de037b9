"""Guidance by a user's words alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from linearsr.core.registries import GUIDANCE
from linearsr.guidance.prompt_template import checked_prompts, one_text
from linearsr.guidance.text_guidance import TextGuidance

if TYPE_CHECKING:
    from torch import Tensor


@GUIDANCE.register_module()
class PromptGuidance(TextGuidance):
    """Words -> tokens, without a look at the picture.

    text:     what every picture is told that comes without a prompt of its own, a text or a list that is joined; "" for
              nothing: a mask that is all False. A fixed text is the control of an ablation: as many tokens as with tags, and
              nothing about the picture
    template: with {user} and {positive}
    text_encoder, separator, positive, negative: see TextGuidance
    """

    places = ("user", "positive")
    reads_prompts = True

    def __init__(
        self,
        text_encoder: Mapping[str, Any],
        text: str | Sequence[str] = "",
        template: str | Sequence[str] = "{user}, {positive}",
        separator: str = ", ",
        positive: str | Sequence[str] = "",
        negative: str | Sequence[str] = "",
    ):
        super().__init__(text_encoder, template, separator, positive, negative, "lr", required=["user"])
        self.text = one_text(text, "guidance.text", separator)

    def options(self) -> Mapping[str, Any]:
        return {"text": self.text}

    def prompts(self, image_01: Tensor, given: Sequence[str] | None) -> list[str]:
        words = [self.text] * len(image_01) if given is None else checked_prompts(given, len(image_01))
        return [self.template.fill({"user": own, "positive": self.positive}) for own in words]
