"""Photographs that come inside scikit-image and scikit-learn: real pictures without a download."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from linearsr.core.data.datasets import PictureDataset, PictureFiles
from linearsr.core.errors import ConfigError, DataError, MissingExtraError
from linearsr.core.registries import DATASETS

PHOTOS = {
    "train": (
        "skimage/astronaut.png", "skimage/rocket.jpg", "skimage/motorcycle_left.png", "skimage/hubble_deep_field.jpg",
        "skimage/retina.jpg", "skimage/ihc.png", "sklearn/china.jpg", "skimage/camera.png", "skimage/brick.png",
        "skimage/grass.png", "skimage/gravel.png", "skimage/coins.png", "skimage/moon.png", "skimage/page.png",
    ),
    "held_out": ("skimage/coffee.png", "skimage/chelsea.png", "sklearn/flower.jpg"),
}  # fmt: skip
"""The split is fixed. motorcycle_right (the other eye of motorcycle_left) and text are in neither."""

FOLDERS = {"skimage": ("skimage", "data"), "sklearn": ("sklearn", "datasets/images")}


def photo_path(name: str) -> Path:
    """The file of one photo, by its name in PHOTOS. Raises MissingExtraError without the package."""
    package, file = name.split("/")
    module, folder = FOLDERS[package]
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingExtraError("BundledPhotos", {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package], "photos")
    path = Path(spec.origin).parent / folder / file
    if not path.is_file():
        raise DataError(f"this {module} does not bundle {path.name}; wanted at {path}")
    return path


@DATASETS.register_module()
class BundledPhotos(PictureDataset):
    """split: "train" (14 photos) or "held_out" (coffee, chelsea, flower)."""

    def __init__(self, split: str, pipeline: Sequence[dict[str, Any]], name: str | None = None):
        if split not in PHOTOS:
            raise ConfigError(f"BundledPhotos has no split {split!r}; wanted one of {', '.join(PHOTOS)}")
        paths = [photo_path(photo) for photo in PHOTOS[split]]
        super().__init__([PictureFiles(path.stem, hr=path) for path in paths], pipeline, name or f"bundled_{split}")
