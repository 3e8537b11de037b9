"""TAG: names of what is in the picture. Precision over volume (LinearSR, §3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from linearsr.core.errors import ConfigError
from linearsr.core.registries import GUIDANCE, TAGGERS
from linearsr.core.structures import Tag
from linearsr.core.values import require_bool
from linearsr.guidance.prompt_template import checked_prompts, tag_names
from linearsr.guidance.taggers.pictures import checked_pictures
from linearsr.guidance.text_guidance import TextGuidance, unload

if TYPE_CHECKING:
    from torch import Tensor

    from linearsr.core.protocols import Tagger


@dataclass(frozen=True)
class ToldTags:
    """What is told of one picture. prompt: the text that is encoded; "" for nothing."""

    tags: tuple[Tag, ...]
    prompt: str

    def __str__(self) -> str:
        tags = ", ".join(f"{tag.name} {tag.score:.2f}" for tag in self.tags) or "no tags"
        return f"{tags} -> {self.prompt!r}"


@GUIDANCE.register_module()
class TagGuidance(TextGuidance):
    """TAG: names of what is in the picture -> prompt -> tokens.

    In training the tags come from the clean picture (source="hr"), in use from the LR, as SeeSR has it. A picture without tags
    and without words of a user gets a mask that is all False, and cross-attention adds exactly 0.

    tagger:              dict(type=…) of TAGGERS
    prompts_replace_tags: what a call gives as prompts are a picture's tags, "cat, sofa", such as those of a file beside it; the
                         tagger is not asked. False: they are the user's words, at {user}
    text_encoder, separator, positive, negative, source: see TextGuidance
    template:            with {tags}, {user} and {positive}. SeeSR's prompt is the default with
                         positive="clean, high-resolution, 8k"
    """

    places = ("tags", "user", "positive")

    def __init__(
        self,
        tagger: Mapping[str, Any],
        text_encoder: Mapping[str, Any],
        template: str | Sequence[str] = "{tags}, {user}, {positive}",
        separator: str = ", ",
        positive: str | Sequence[str] = "",
        negative: str | Sequence[str] = "",
        source: str = "hr",
        prompts_replace_tags: bool = False,
    ):
        self.prompts_replace_tags = require_bool(prompts_replace_tags, "guidance.prompts_replace_tags")
        super().__init__(text_encoder, template, separator, positive, negative, source, required=["tags"])
        self.tagger: Tagger = TAGGERS.build(tagger)

    @property
    def reads_prompts(self) -> bool:
        return self.prompts_replace_tags or "user" in self.template.used

    def options(self) -> Mapping[str, Any]:
        return {"tagger": self.tagger.identity, "prompts_replace_tags": self.prompts_replace_tags}

    def explain(self, image_01: Tensor, prompts: Sequence[str] | None = None) -> list[ToldTags]:
        """[B, 3, H, W] -> the tags and the prompt of each picture, to be printed.

        Raises ShapeError or DataError for what are no pictures in 0..1, NaN too, or no prompts, one each; ConfigError for
        prompts that the template has no place for.
        """
        image = checked_pictures(image_01)
        if prompts is None:
            return [self._told(tags, "") for tags in self.tagger(image)]
        if not self.reads_prompts:
            raise ConfigError(
                f"prompts were given, and guidance.template, {self.template.text!r}, has no {{user}}; put it there, or set "
                "guidance.prompts_replace_tags=True if the prompts are tags"
            )
        words = checked_prompts(prompts, len(image))
        if self.prompts_replace_tags:
            return [self._told([Tag(name) for name in tag_names(own)], "") for own in words]
        return [self._told(tags, own) for tags, own in zip(self.tagger(image), words, strict=True)]

    def prompts(self, image_01: Tensor, given: Sequence[str] | None) -> list[str]:
        return [told.prompt for told in self.explain(image_01, given)]

    def unload(self) -> None:
        super().unload()
        unload(self.tagger)

    def _told(self, tags: Sequence[Tag], user: str) -> ToldTags:
        names = self.template.separator.join(tag.name for tag in tags)
        return ToldTags(tuple(tags), self.template.fill({"tags": names, "user": user, "positive": self.positive}))
