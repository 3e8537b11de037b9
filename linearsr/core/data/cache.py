"""Tensors on disk that are expensive to make again: an LR picture, a latent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from linearsr import __version__
from linearsr.core.atomic import atomic_path
from linearsr.core.errors import ConfigError, DataError

DIGEST: Final = re.compile(r"[0-9a-f]{64}")
ENDING: Final = ".safetensors"
ENTRY: Final = "entry"
"""Key and content hash, under one name: safetensors 0.8.0 writes several in an order that differs from process to process."""


class TensorCache:
    """A folder of entries: a key, some named tensors. An entry reads back bit for bit or is refused.

    Equal tensors under equal keys make equal files.
    Entries are written whole or not at all, so any number of processes may share the folder; what two of them make at once
    is the same, and either stays. The hash of an entry's content is kept in it and looked at whenever it is read.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        """Where the entry is or would be. key: as `entry_key` makes it, else DataError."""
        if not DIGEST.fullmatch(key):
            raise DataError(f"{key!r} is no key of a cache; make one with entry_key")
        return self.folder / key[:2] / f"{key}{ENDING}"

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_file()

    def get(self, key: str) -> dict[str, Tensor] | None:
        """The entry's tensors, on the CPU; None where there is none. Raises DataError for a damaged one."""
        path = self.path(key)
        return read_entry(path) if path.is_file() else None

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Writes the entry; one that is there already is replaced. Raises DataError where the folder cannot be written."""
        own = {  # copies: safetensors refuses tensors that share their memory
            name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        }
        try:
            with atomic_path(self.path(key)) as temporary:
                save_file(own, temporary, metadata={ENTRY: f"{key} {content_hash(own)}"})
        except (OSError, SafetensorError) as error:
            raise DataError(f"the cache {self.folder} cannot be written: {error}; free it or set another folder") from error

    def entries(self) -> Iterator[Path]:
        """The files of all entries, in no particular order."""
        return (path for path in self.folder.glob(f"??/*{ENDING}") if not path.name.startswith("."))


def read_entry(path: Path) -> dict[str, Tensor]:
    """Raises DataError where it is not what was written under this name."""
    try:
        with safe_open(path, framework="pt") as file:
            written_as, _, content = (file.metadata() or {}).get(ENTRY, "").partition(" ")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"the cache entry {path} is damaged: {error}") from error
    if written_as != path.stem:
        raise DataError(f"the cache entry {path} is damaged: it was written as {written_as or 'no entry'}")
    if content != content_hash(tensors):
        raise DataError(f"the cache entry {path} is damaged: its content is not what was written")
    return tensors


def content_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, dtypes, shapes and every bit."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def entry_key(settings: Any, content: str) -> str:
    """The key of what `settings` (plain data: dict, list, str, numbers) make of something with the hash `content`.

    The version of linearsr is part of it: another version may make something else. Raises ConfigError for settings that are
    no plain data.
    """
    try:
        text = json.dumps([__version__, settings], sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{settings!r} cannot be a cache's key: {error}; wanted plain data such as dict(scale=4)") from error
    return hashlib.sha256(f"{text}\n{content}".encode()).hexdigest()
