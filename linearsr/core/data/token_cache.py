"""Guidance tokens on disk: a TensorCache of one guidance, with what was told of each picture."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from linearsr import __version__
from linearsr.core.atomic import write_text
from linearsr.core.data.cache import TensorCache
from linearsr.core.data.token_entry import read_whole
from linearsr.core.data.token_sights import Tokens
from linearsr.core.errors import ConfigError, DataError

RECORD: Final = "guidance.json"
"""In the cache's folder: whose tokens these are."""
COMMAND: Final = "python tools/cache_guidance.py CONFIG"
"""Fills a cache."""


@dataclass(frozen=True)
class Description:
    """tokens: [L, D], mask: bool [L]; told: what can be read of it, as JSON types: tags, scores, prompt."""

    tokens: Tensor
    mask: Tensor
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TokenRecord:
    """identity: of the guidance; dtype, width: of its tokens; linearsr: the version that began, which nobody checks."""

    identity: str
    dtype: str
    width: int
    linearsr: str = __version__


class TokenCache:
    """A folder with the tokens of one guidance, by the content of the picture and the prompt that came with it.

    identity: of the guidance that wants to read or fill. A folder of another raises ConfigError with both names.
    """

    def __init__(self, folder: str | Path, identity: str):
        self.entries = TensorCache(folder)
        self.folder = self.entries.folder
        self.identity = identity
        self.record = self._found()

    @property
    def begun(self) -> bool:
        """Whether it is known whose tokens these are. Somebody else may have begun since."""
        self.record = self.record or self._found()
        return self.record is not None

    def key(self, content: str, prompt: str | None) -> str:
        """content: of the picture, a hash. Raises DataError in a folder that nobody has begun to fill."""
        asked = self._unprompted if prompt is None else self._asked(prompt)
        return hashlib.sha256(f"{asked}\n{content}".encode()).hexdigest()

    def get(self, key: str) -> Description | None:
        """None where there is none. Raises DataError for an entry that is damaged or of no such guidance."""
        path = self.entries.path(key)
        found = read_whole(path)
        if found is None:
            return None
        try:
            description = Description(found["tokens"], found["mask"], json.loads(bytes(found["told"].numpy())))
        except ValueError as error:
            raise DataError(f"the cache entry {path} is damaged: {error}") from error
        return self._checked(description, str(path))

    def tokens(self, key: str) -> Tokens | None:
        """Those of `get`, in half of its time: values are those that were written, and `put` has looked at each."""
        path = self.entries.path(key)
        found = read_whole(path, ("tokens", "mask"))
        return None if found is None else self._shaped((found["tokens"], found["mask"]), path)

    def put(self, key: str, description: Description, who: str) -> None:
        """who: the picture, for messages. Raises DataError for tokens that are not finite or not as the folder's are."""
        checked = self._checked(description, who)
        told = json.dumps(checked.told, ensure_ascii=False).encode()
        self.entries.put(
            key, {"tokens": checked.tokens, "mask": checked.mask, "told": torch.tensor(list(told), dtype=torch.uint8)}
        )

    def damaged(self) -> Iterator[DataError]:
        """Of all entries, whichever pictures they are of; none in a folder that nobody has begun to fill."""
        for path in sorted(self.entries.entries()):
            try:
                self.get(path.stem)
            except DataError as error:
                yield error

    def begin(self, tokens: Tensor) -> None:
        """Writes down whose tokens these are: `tokens` [L, D] are some of them."""
        self.record = TokenRecord(self.identity, _name(tokens.dtype), tokens.shape[-1])
        write_text(self.folder / RECORD, json.dumps(asdict(self.record), indent=2, ensure_ascii=False) + "\n")

    @cached_property
    def _unprompted(self) -> str:
        return self._asked(None)

    def _asked(self, prompt: str | None) -> str:
        return json.dumps([self.identity, self._record().dtype, prompt])

    def _record(self) -> TokenRecord:
        if not self.begun or self.record is None:
            raise DataError(f"the cache {self.folder} is empty: no {RECORD} in {self.folder.absolute()}; fill it: {COMMAND}")
        return self.record

    def _checked(self, description: Description, where: str) -> Description:
        tokens, _ = self._shaped((description.tokens, description.mask), where)
        if not all_finite(tokens):
            raise DataError(f"{where}: {int((~tokens.isfinite()).sum())} of {tokens.numel()} values are NaN or Inf")
        return description

    def _shaped(self, given: Tokens, where: str | Path) -> Tokens:
        (tokens, mask), record = given, self._record()
        if tokens.ndim != 2 or tokens.shape[1] != record.width or _name(tokens.dtype) != record.dtype:
            raise DataError(
                f"{where}: {self.identity} gave {_name(tokens.dtype)} {list(tokens.shape)}, and the cache {self.folder} holds "
                f"{record.dtype} [L, {record.width}] of {record.identity}; set Describe.cache to another folder"
            )
        if mask.dtype != torch.bool or mask.shape != tokens.shape[:1]:
            raise DataError(f"{where}: the mask is {mask.dtype} {list(mask.shape)}; wanted bool [{len(tokens)}]")
        return given

    def _found(self) -> TokenRecord | None:
        record = read_record(self.folder)
        if record is not None and record.identity != self.identity:
            raise ConfigError(
                f"the cache {self.folder} holds tokens of {record.identity}, and Describe.guidance is {self.identity}; set "
                f"Describe.cache to another folder, or delete this one and fill it again: {COMMAND}"
            )
        return record


def read_record(folder: Path) -> TokenRecord | None:
    """None where nobody has begun to fill. Raises DataError for a file that is no record."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return TokenRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}; delete {folder} and fill it again: {COMMAND}") from error


def all_finite(tokens: Tensor) -> bool:
    """A finite sum proves it, in a third of the time; where the sum is not finite each value is checked."""
    return math.isfinite(float(tokens.sum())) or bool(tokens.isfinite().all())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
