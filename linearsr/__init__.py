"""Exchangeable parts for image super-resolution on linear attention (LinearSR, ICLR 2026).

Importing the package is cheap: torch, mmengine and cv2 are imported when a name below is first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "load_config": "linearsr.core.config",
    "build_model": "linearsr.core.models.building",
    "load_model": "linearsr.core.models.building",
    "read_image": "linearsr.core.data.images",
    "write_image": "linearsr.core.data.images",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'linearsr' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
