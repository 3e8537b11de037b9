"""What tells one set of files from another: their contents, wherever they lie and whatever their dates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

DIGEST_BYTES = 16
"""128 bits: two different files share a digest with a chance of 2⁻¹²⁸."""

_digests: dict[Path, tuple[int, int, bytes]] = {}
"""Path -> size, time of the last change in ns, digest. A file is read once in a process unless one of the two differs."""


def content_digest(path: Path) -> bytes:
    """BLAKE2b of a file. A file rewritten at the same size within the same tick of the clock would not be noticed."""
    place, status = path.resolve(), path.stat()
    size, changed, digest = _digests.get(place, (-1, -1, b""))
    if (size, changed) != (status.st_size, status.st_mtime_ns):
        with open(place, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).digest()
        _digests[place] = (status.st_size, status.st_mtime_ns, digest)
    return digest


def fingerprint(files: Mapping[str, Path], options: Mapping[str, object]) -> str:
    """Hexadecimal digest of names, contents and options; folders and dates do not count, nor does the order.

    files: what a file is for -> where it lies; options: plain values, told apart by their `repr`.
    """
    whole = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for role, path in sorted(files.items()):
        whole.update(f"file {role!r} ".encode() + content_digest(path))
    for name, value in sorted(options.items()):
        whole.update(f"option {name!r} {value!r}\n".encode("utf-8", "surrogatepass"))
    return whole.hexdigest()
