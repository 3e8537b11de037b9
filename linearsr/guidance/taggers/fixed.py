"""The same tags for every picture: the control of an ablation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from linearsr.core.errors import ConfigError
from linearsr.core.registries import TAGGERS
from linearsr.core.structures import Tag
from linearsr.guidance.taggers.identity import identity_of
from linearsr.guidance.taggers.names import prompt_name
from linearsr.guidance.taggers.pictures import checked_pictures

if TYPE_CHECKING:
    from torch import Tensor


@TAGGERS.register_module()
class FixedTags:
    """It does not look: tokens and layers as with real tags, but nothing about the picture.

    tags: names in the order in which they are told, as many as you like, or none; each gets the score 1.
    Raises ConfigError for a name that is empty, no text or told twice, and for one text instead of a list.
    """

    def __init__(self, tags: Sequence[str] = ()):
        if isinstance(tags, str) or not all(isinstance(name, str) for name in tags):
            raise ConfigError(f"tagger.tags is {tags!r}; wanted a list of names, such as ['cat', 'sofa']; change tagger.tags")
        names = [prompt_name(name) for name in tags]
        for position, name in enumerate(names):
            if not name or name in names[:position]:
                raise ConfigError(f"tagger.tags[{position}] is {tags[position]!r}: {'told twice' if name else 'no name'}")
        self.tags = tuple(Tag(name) for name in names)

    @property
    def identity(self) -> str:
        return identity_of(type(self).__name__, {"tags": [tag.name for tag in self.tags]})

    def __call__(self, image_01: Tensor) -> list[list[Tag]]:
        """[B, 3, H, W] in 0..1 -> B times the same list. Refuses what other taggers refuse."""
        return [list(self.tags) for _ in checked_pictures(image_01)]
