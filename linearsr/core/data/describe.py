"""Guidance of whole photos, before anything is cropped: looked up on disk, or looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from mmcv.transforms import BaseTransform

from linearsr.core import protocols
from linearsr.core.data.picture_keys import PictureKeys
from linearsr.core.data.recent import Recent
from linearsr.core.data.token_cache import COMMAND, TokenCache
from linearsr.core.data.token_sights import Sight, Tokens, build_guidance, identity_of, look
from linearsr.core.data.token_table import known_pictures
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.registries import TRANSFORMS
from linearsr.core.values import require_count

MIB: Final = 2**20
KINDS: Final = ("hr", "lr")


@TRANSFORMS.register_module()
class Describe(BaseTransform):
    """Puts sample["guidance"] = (tokens [L, D], mask [L]) of the whole photo: with it the model asks no encoder.

    It stands behind what makes the picture that it looks at, and before everything that draws.

    guidance:   dict(type=…) of GUIDANCE, that of the model
    cache:      a folder that tools/cache_guidance.py has filled: no encoder is loaded, a folder of another guidance is a
                ConfigError, and a picture that is not in it a DataError. None: the guidance looks, in each data worker with
                weights of its own
    picture:    "hr" or "lr", what is looked at. None: in training (a draw with a seed) the guidance's `source`, else the LR, as
                in use
    memory_mib: the tokens used last are kept in memory, up to this
    A prompt of the sample goes to the guidance. Raises ConfigError for guidance that is not cacheable.
    """

    def __init__(
        self, guidance: Mapping[str, Any], cache: str | None = None, picture: str | None = None, memory_mib: int = 256
    ):
        if picture not in (None, *KINDS):
            raise ConfigError(f"Describe.picture is {picture!r}; wanted 'hr', 'lr' or None; change Describe.picture")
        built = build_guidance(guidance)
        self.guidance = guidance
        self.source, self.picture = built.source, picture
        self.cache = None if cache is None else TokenCache(cache, identity_of(built))
        self._from: _Source = _Looking(built) if self.cache is None else _OnDisk(self.cache)
        self._recent = Recent(require_count(memory_mib, "Describe.memory_mib", at_least=0) * MIB)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        sight = self.sight(results)
        content = self._from.keys(sight.name, sight.picture)
        tokens = self._recent.get((content, sight.prompt))
        if tokens is None:
            tokens = self._from.tokens(sight, content)
            self._recent.put((content, sight.prompt), tokens)
        return results | {"guidance": tokens}

    def kind(self, *, training: bool) -> str:
        """ "hr" or "lr": what is looked at."""
        return self.picture or (self.source if training else "lr")

    def sight(self, results: Mapping[str, Any]) -> Sight:
        """Raises ConfigError where the picture is not there, or comes of a draw; DataError for a prompt that is no text."""
        kind, name = self.kind(training="seed" in results), results["name"]
        if "drawn_by" in results:
            raise ConfigError(f"{results['drawn_by']} draws before Describe, so that no picture comes again; put it behind")
        if kind not in results:
            raise ConfigError(
                f"Describe is to look at the {kind.upper()} of {name}, which is not there; put it behind the step that makes "
                f"it, or set Describe.picture={next(other for other in KINDS if other != kind)!r}"
            )
        prompt = results.get("prompt")
        if not isinstance(prompt, str | None):
            raise DataError(f"the prompt of {name} is {prompt!r:.80}; wanted a text")
        return Sight((results["dataset"], name, kind), results[kind], prompt)


class _Source(Protocol):
    """keys: of pictures."""

    keys: PictureKeys

    def tokens(self, sight: Sight, content: str) -> Tokens: ...


class _Looking:
    """The guidance looks."""

    def __init__(self, guidance: protocols.Guidance):
        self.keys = PictureKeys()
        self.guidance = guidance

    def tokens(self, sight: Sight, content: str) -> Tokens:
        return look(self.guidance, sight)


class _OnDisk:
    """It has looked before the run."""

    def __init__(self, cache: TokenCache):
        self.keys = PictureKeys(known_pictures(cache.folder))
        self.cache = cache

    def tokens(self, sight: Sight, content: str) -> Tokens:
        found = self.cache.tokens(self.cache.key(content, sight.prompt))
        if found is None:
            new = "the picture" if sight.prompt is None else "the picture or its prompt"
            raise DataError(
                f"{sight.told_name} is not in the cache {self.cache.folder}: {new} is new or changed; fill it: {COMMAND}"
            )
        return found
