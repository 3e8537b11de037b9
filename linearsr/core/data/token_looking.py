"""A picture's tokens together with what can be read of it."""

from __future__ import annotations

from typing import Any, Final

import torch

from linearsr.core import protocols
from linearsr.core.data.token_cache import Description
from linearsr.core.data.token_jobs import Job
from linearsr.core.data.token_sights import Sight, build_guidance, finite, look
from linearsr.core.structures import GuidanceTokens

DIGITS: Final = 4
"""Of a tag's score, as in tables of tags."""


class Lookers:
    """One guidance for all jobs that name the same: its weights are loaded once."""

    def __init__(self) -> None:
        self._built: dict[str, protocols.Guidance] = {}

    def describe(self, job: Job, sight: Sight) -> Description:
        identity = job.cache.identity
        if identity not in self._built:
            self._built[identity] = build_guidance(job.describe.guidance)
        return description_of(self._built[identity], sight)


def description_of(guidance: Any, sight: Sight) -> Description:
    """Tokens as `look` has them. Guidance by text may have three methods more, by which it says what it tells:

    explain(image_01, prompts): an object with `tags` and `prompt` for each picture; or else
    prompts(image_01, prompts): the text for each picture
    encode(texts):              those texts' tokens; one without it looks twice, once for the words and once for the tokens
    """
    told = told_of(guidance, sight)
    if told and hasattr(guidance, "encode"):
        with torch.no_grad():
            given: GuidanceTokens = guidance.encode([told["prompt"]])
        return Description(*finite(given, type(guidance).__name__, sight), told)
    return Description(*look(guidance, sight), told)


def told_of(guidance: Any, sight: Sight) -> dict[str, Any]:
    """JSON types; {} of guidance without words."""
    if hasattr(guidance, "explain"):
        [told] = guidance.explain(*sight.as_asked())
        tags = {"tags": [tag.name for tag in told.tags], "scores": [round(tag.score, DIGITS) for tag in told.tags]}
        return {**tags, "prompt": told.prompt}
    if hasattr(guidance, "prompts"):
        return {"prompt": guidance.prompts(*sight.as_asked())[0]}
    return {}
