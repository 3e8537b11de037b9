"""Every registered tagger keeps its contract: on real weights where they come by pip, else on tiny ones in the real layout."""

import pytest
import torch

from linearsr.core.data.bundled_photos import PHOTOS, photo_path
from linearsr.core.data.images import read_image
from linearsr.core.registries import TAGGERS
from linearsr.core.resampling import resize_bicubic
from linearsr.guidance.taggers.conformance import check_tagger
from tests.guidance.taggers.conftest import clip_folder, ram_options  # noqa: F401  (fixtures)

VOCABULARY = ["cat", "coffee, espresso", "flower", "tripod"]
DIFFERENT = {
    "CLIPZeroShotTagger": {"vocabulary": VOCABULARY[:3]},
    "EfficientNetLiteTagger": {"grid": 1},
    "FixedTags": {"tags": ["dog"]},
    "RAMTagger": {"threshold": 0.5},
}


@pytest.mark.parametrize("name", TAGGERS.own())
def test_tagger_keeps_its_contract(name, request):
    if name == "EfficientNetLiteTagger":
        pytest.importorskip("efficientnet_lite_pytorch")
    options = {
        "CLIPZeroShotTagger": lambda: {"folder": str(request.getfixturevalue("clip_folder")), "vocabulary": VOCABULARY},
        "EfficientNetLiteTagger": lambda: {"threshold": 0.01, "grid": 2},
        "FixedTags": lambda: {"tags": ["cat", "sofa"]},
        "RAMTagger": lambda: request.getfixturevalue("ram_options"),
    }[name]()
    pictures = [resize_bicubic(read_image(photo_path(photo))[None], (40, 60)).clamp(0, 1) for photo in PHOTOS["held_out"]]
    tagger, other = (TAGGERS.build({"type": name, **options, **more}) for more in ({}, DIFFERENT[name]))
    check_tagger(tagger, torch.cat(pictures), others=[other]).require()
