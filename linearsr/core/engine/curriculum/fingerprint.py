"""Whether a file is the one that a stage began with."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path


def fingerprint(path: Path) -> str:
    """Of what is in it. A checkpoint of torch is a zip, whose directory has the name, size and CRC-32 of every tensor: that is
    read alone, so that gigabytes need not be. Of any other file every byte is."""
    digest = hashlib.sha256()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                digest.update(f"{entry.filename.partition('/')[2]} {entry.file_size} {entry.CRC}\n".encode())
    else:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    return digest.hexdigest()
