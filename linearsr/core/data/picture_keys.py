"""Which picture is this? A hash of all that is in it, and a quick way to know it again."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from torch import Tensor

from linearsr.core.data.cache import content_hash
from linearsr.core.data.cached import packed_pictures

WORD: Final = 8
"""Bytes of what is summed."""
BLOCK: Final = 64
"""Words of a sum: 128 float values, less than a row of a photo, so that what moves within a picture moves between sums."""

GREEN: Final = 1
"""The channel with most of a picture's brightness (0.59 in BT.601)."""
ROWS: Final = 8
"""One of so many is summed: what takes the time is to fetch pixels from memory."""

Name = tuple[str, str, str]
"""Data set, picture, and "hr" or "lr"."""


def content_of(picture: Tensor) -> str:
    """[3, H, W] in 0..1, or its levels 0..255 at 8 bits -> SHA-256 of the decoded picture, the same for both."""
    return content_hash(packed_pictures({"picture": picture}))


def checksum_of(picture: Tensor) -> str:
    """Of every bit of each eighth row of the green channel, as the picture is held: sums of 64-bit words, by blocks, hashed.

    It takes less than a hundredth of `content_of`'s time. What happens to a picture by accident changes it, unless to red or
    blue alone or to seven rows at most; with intent a picture of the same checksum can be made. So it only tells whether the
    picture of a name is still the one whose content is known.
    """
    green = picture[GREEN].contiguous().numpy().view(np.uint8)[::ROWS]
    whole = green.shape[1] // (WORD * BLOCK) * (WORD * BLOCK)
    words = green[:, :whole].view(np.uint64).reshape(len(green), -1, BLOCK)
    digest = hashlib.blake2b(f"{picture.dtype} {list(picture.shape)}".encode(), digest_size=16)
    digest.update(np.add.reduce(words, axis=2).data)
    digest.update(np.ascontiguousarray(green[:, whole:]).data)
    return digest.hexdigest()


class PictureKeys:
    """`content_of` of named pictures, computed once for each.

    A tensor that comes again for a name, as LoadPictures(cache=True) hands it out, is not looked at: nobody may change it.
    known: checksum -> content of pictures that are known by name, such as a table has them
    """

    def __init__(self, known: Mapping[Name, Mapping[str, str]] | None = None):
        self._known = {name: dict(contents) for name, contents in (known or {}).items()}
        self._last: dict[Name, tuple[weakref.ref[Tensor], str]] = {}

    def __call__(self, name: Name, picture: Tensor) -> str:
        last = self._last.get(name)
        if last is None or last[0]() is not picture:
            last = self._last[name] = weakref.ref(picture), self._look_up(name, picture)
        return last[1]

    def _look_up(self, name: Name, picture: Tensor) -> str:
        checksum = checksum_of(picture)
        contents = self._known.setdefault(name, {})
        if checksum not in contents:
            contents[checksum] = content_of(picture)
        return contents[checksum]

    def __getstate__(self) -> dict[str, Any]:
        """Tensors of this process are not those of another."""
        return vars(self) | {"_last": {}}
