"""Transforms whose outcome is kept on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from linearsr.core.data.cache import TensorCache, content_hash, entry_key
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.pixels import from_uint8, to_uint8
from linearsr.core.randomness import mix_seed
from linearsr.core.registries import TRANSFORMS

STREAM: Final = 101
"""Of the draw's seed; transforms have numbers of their own."""

LEVELS: Final = "/255"
"""Ends the name of a picture that lies on the 1/255 grid and is kept at 8 bits, a quarter of the size."""

Results = dict[str, Any]


@TRANSFORMS.register_module()
class Cached(BaseTransform):
    """What `transforms` make of a picture is made once and kept in `folder`, a TensorCache.

    It stands before everything that draws: what comes in must be the same whenever the picture comes.
    keys: what the transforms make; they may change nothing else. An entry's key is the content of the pictures that come
    in, the transforms with their options, and linearsr's version. An entry that is damaged is made again.
    variants: None for transforms that do not draw at random. K for ones that do: each picture has K outcomes, whose seeds come
    from its content; a draw takes one of them by its own seed, and without a seed, as in validation, it is the first.
    """

    def __init__(
        self, folder: str, transforms: Sequence[dict[str, Any]], keys: Sequence[str] = ("lr",), variants: int | None = None
    ):
        if variants is not None and variants < 1:
            raise ConfigError(f"Cached: variants is {variants}; wanted a whole number ≥ 1, or None for no randomness")
        self.cache = TensorCache(folder)
        self.settings = _plain([transforms, keys])
        self.transforms = [TRANSFORMS.build(step) for step in transforms]
        self.keys, self.variants = tuple(keys), variants
        entry_key(self.settings, "")  # refuses options that are no plain data before a run

    def transform(self, results: Results) -> Results:
        inputs = _inputs(results)
        variant = self._variant(results["seed"]) if "seed" in results else 0
        return results | self._entry(results, inputs, content_hash(inputs), variant)

    def seeds(self) -> list[int]:
        """Of a draw for each variant; [0] where there are none."""
        wanted = range(self.variants or 1)
        return [next(seed for seed in count() if self._variant(seed) == variant) for variant in wanted]

    def fill(self, results: Results, *, make: bool) -> tuple[int, int]:
        """(absent, present) entries of all variants of the picture; `make`: the absent and the damaged ones are made."""
        inputs = _inputs(results)
        content = content_hash(inputs)
        missing = [variant for variant in range(self.variants or 1) if self._kept(self._key(content, variant)) is None]
        for variant in missing if make else ():
            self._entry(results, inputs, content, variant)
        return len(missing), (self.variants or 1) - len(missing)

    def _variant(self, seed: int) -> int:
        return mix_seed(seed, STREAM) % self.variants if self.variants else 0

    def _key(self, content: str, variant: int) -> str:
        return entry_key([self.settings, None if self.variants is None else variant], content)

    def _kept(self, key: str) -> dict[str, Tensor] | None:
        try:
            return self.cache.get(key)
        except DataError:
            return None  # made again, which gives the same

    def _entry(self, results: Results, inputs: Mapping[str, Tensor], content: str, variant: int) -> dict[str, Tensor]:
        key = self._key(content, variant)
        kept = self._kept(key)
        if kept is None:
            kept = _packed(self._make(results, inputs, mix_seed(int(content[:16], 16), variant)))
            self.cache.put(key, kept)
        return _unpacked(kept)

    def _make(self, results: Results, inputs: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
        before = _unpacked(inputs)
        made: Results = {"name": results["name"], "dataset": results["dataset"], **before}
        if self.variants is not None:
            made["seed"] = seed
        for step in self.transforms:
            made = step(made)
        for key, value in made.items():
            same = not isinstance(value, Tensor) or (key in before and torch.equal(value, before[key]))
            if not same and key not in self.keys:
                raise ConfigError(f"the transforms of Cached change {key}, which its keys do not name; put that step before it")
        absent = [key for key in self.keys if key not in made]
        if absent:
            raise ConfigError(f"the transforms of Cached make no {', '.join(absent)}; its keys name what they make")
        return {key: made[key] for key in self.keys}


def _inputs(results: Results) -> dict[str, Tensor]:
    """The pictures that come in, packed."""
    if "drawn_by" in results:
        raise ConfigError(f"{results['drawn_by']} draws before Cached, so that nothing could be found again; put it behind")
    pictures: dict[str, Tensor] = {kind: results[kind] for kind in ("hr", "lr") if kind in results}
    if not pictures:
        raise ConfigError("Cached found no picture; put it behind LoadPictures")
    return packed_pictures(pictures)


def packed_pictures(pictures: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Equal pictures come out equal, whether LoadPictures holds them as float32 on the 1/255 grid or at 8 bits."""
    at_8_bits = {kind + LEVELS: picture for kind, picture in pictures.items() if picture.dtype == torch.uint8}
    return at_8_bits | _packed({kind: picture for kind, picture in pictures.items() if picture.dtype != torch.uint8})


def _packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    packed = {}
    for name, tensor in tensors.items():
        if tensor.dtype == torch.float32 and torch.equal(from_uint8(levels := to_uint8(tensor)), tensor):
            packed[name + LEVELS] = levels
        else:
            packed[name] = tensor
    return packed


def _unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removesuffix(LEVELS): from_uint8(t) if name.endswith(LEVELS) else t for name, t in tensors.items()}


def _plain(value: Any) -> Any:
    """mmengine's config types as dict and list."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
