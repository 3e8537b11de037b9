"""Experts whose originals wait on disk: as `offloading`, for mixtures that host memory does not hold."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, Any

import torch
from torch import Tensor, nn

from linearsr.core.errors import ConfigError
from linearsr.experts.offloading import HostOffload, tensors_of

ALIGNMENT = 64
"""Bytes: a tensor in the file begins at a multiple, as torch's own memory does."""


class DiskOffload(HostOffload):
    """As HostOffload, with each expert's originals in a file of its own that is mapped into memory.

    What is mapped and not being copied is no memory of the process: the system reads it when it is copied and may forget it
    at any time. Values written to an original, by loading weights, are written to the file. The files have no names, so
    nothing is left of them when the mixture is gone, however the process ends.

    folder: on the disk to be used; None: the system's temporary one, which may itself be memory. Raises ConfigError for a
    folder that does not exist and where a file cannot be written, for lack of space too.
    """

    def __init__(self, num_experts: int, folder: str | None = None):
        super().__init__(num_experts)
        self.folder = folder
        self._files: dict[int, list[Tensor]] = {}
        """Expert -> what it was given to hold, to see whether it still does."""

    def store(self, expert: nn.Module, index: int) -> None:
        """Into a file, unless they lie in its file already."""
        tensors = [tensor for tensor in tensors_of(expert) if not tensor.is_meta and tensor.numel()]
        if _same_places(tensors, self._files.get(index, [])):
            return
        try:
            mapped = write_mapped(tensors, self.folder)
        except OSError as error:
            where = self.folder or gettempdir()
            raise ConfigError(
                f'denoiser.offload="disk": expert {index} cannot be written to {where}: {error}; set denoiser.offload_folder '
                "to an existing folder on a disk with space"
            ) from error
        for tensor, place in zip(tensors, mapped, strict=True):
            tensor.data = place
        self._files[index] = mapped

    def _ready(self, original: Tensor, device: torch.device) -> Tensor:
        """Pinned, it would be in host memory for good."""
        return original

    def __getstate__(self) -> dict[str, Any]:
        """A copy of a mixture is stored anew."""
        return self.__dict__ | {"_files": {}}


def write_mapped(tensors: Sequence[Tensor], folder: str | Path | None = None) -> list[Tensor]:
    """The same values on the CPU, in the same order of memory, in a mapped file without a name in `folder`.

    Each has a storage of its own, and the file is gone with the last of them. Raises OSError.
    """
    if not tensors:
        return []
    with TemporaryFile(dir=folder) as file:
        starts = [_append(file, tensor.detach()) for tensor in tensors]
        file.flush()
        memory = mmap.mmap(file.fileno(), 0)
    return [
        torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=start).as_strided(
            tensor.shape, _strides(tensor)
        )
        for tensor, start in zip(tensors, starts, strict=True)
    ]


def _append(file: IO[bytes], tensor: Tensor) -> int:
    """Where it begins. Written, not copied into the mapping: a full disk is then an error and no fatal signal."""
    start = -(-file.tell() // ALIGNMENT) * ALIGNMENT
    file.seek(start)
    packed = torch.empty_strided(tensor.shape, _strides(tensor), dtype=tensor.dtype, device="cpu").copy_(tensor)
    file.write(packed.as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy().data)
    return start


def _strides(tensor: Tensor) -> tuple[int, ...]:
    """Of a copy of it: the same order of dimensions in memory, without gaps."""
    return torch.empty_like(tensor, device="meta").stride()


def _same_places(tensors: Sequence[Tensor], places: Sequence[Tensor]) -> bool:
    def where(tensor: Tensor) -> tuple[Any, ...]:
        return tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()

    return [where(tensor) for tensor in tensors] == [where(place) for place in places]
