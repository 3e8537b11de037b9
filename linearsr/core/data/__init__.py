"""Pictures from files to batches."""

from linearsr.core.data.bundled_photos import BundledPhotos
from linearsr.core.data.cache import TensorCache
from linearsr.core.data.cached import Cached
from linearsr.core.data.collate import collate_pictures
from linearsr.core.data.datasets import JoinedDatasets, PictureDataset
from linearsr.core.data.degradations import degrade_bicubic
from linearsr.core.data.describe import Describe
from linearsr.core.data.folders import HRFolder, LRFolder, PairedFolders
from linearsr.core.data.images import list_images, read_image, write_image
from linearsr.core.data.real_esrgan import RealESRGANDegradation
from linearsr.core.data.samplers import DrawSampler
from linearsr.core.data.shards import TarShards
from linearsr.core.data.sidecar_text import ReadSidecarText
from linearsr.core.data.tag_texts import ReadTagTable
from linearsr.core.data.transforms import BicubicDegradation, CropToMultiple, LoadPictures, RandomCrop, RandomFlipRotate

__all__ = [
    "BicubicDegradation",
    "BundledPhotos",
    "Cached",
    "CropToMultiple",
    "Describe",
    "DrawSampler",
    "HRFolder",
    "JoinedDatasets",
    "LRFolder",
    "LoadPictures",
    "PairedFolders",
    "PictureDataset",
    "RandomCrop",
    "RandomFlipRotate",
    "ReadSidecarText",
    "ReadTagTable",
    "RealESRGANDegradation",
    "TarShards",
    "TensorCache",
    "collate_pictures",
    "degrade_bicubic",
    "list_images",
    "read_image",
    "write_image",
]
