"""Every registered guidance keeps its contract: with options by default, toy parts and random weights on disk."""

import pytest
import torch

from linearsr.core.randomness import generator
from linearsr.core.registries import GUIDANCE
from linearsr.guidance.conformance import check_guidance
from tests.guidance.fakes import ENCODER, TAGGER
from tests.guidance.tiny_vision import write_clip, write_dino

TAGS = {"type": "TagGuidance", "tagger": TAGGER, "text_encoder": ENCODER}
OPTIONS = {
    "TagGuidance": {"tagger": TAGGER, "text_encoder": ENCODER},
    "CaptionGuidance": {"text_encoder": ENCODER, "captioner": "tests.guidance.fakes:brightness"},
    "PromptGuidance": {"text_encoder": ENCODER, "text": "a photo"},
    "JoinedGuidance": {"guidance": [TAGS, {"type": "NullGuidance", "width": 5}], "width": 8, "source": "hr"},
}
"""What they cannot be built without."""
WRITERS = {"CLIPImageGuidance": write_clip, "DINOGuidance": write_dino}
FURTHER = {
    "TagGuidance": {"prompts_replace_tags": True, "positive": "clean", "negative": "noise, blur", "source": "lr"},
    "CaptionGuidance": {"positive": "clean", "negative": "noise"},
    "PromptGuidance": {"text": "", "negative": "noise"},
    "CLIPImageGuidance": {"hidden_layer": -1, "keep_cls": True, "dtype": "bfloat16"},
    "DINOGuidance": {"side": 28, "keep_cls": True, "dtype": "float64", "source": "hr"},
}
"""Besides the options by default."""


def cases():
    for name in GUIDANCE.own():
        yield name, {}
        if name in FURTHER:
            yield name, FURTHER[name]


def built(name, options, folder):
    files = {"folder": str(WRITERS[name](folder))} if name in WRITERS else {}
    return GUIDANCE.build({"type": name, **OPTIONS.get(name, {}), **files, **options})


@pytest.mark.parametrize(("name", "options"), list(cases()))
def test_guidance_keeps_its_contract(name, options, tmp_path):
    check_guidance(built(name, options, tmp_path)).require()


@pytest.mark.gpu
@pytest.mark.parametrize("name", GUIDANCE.own())
def test_guidance_keeps_its_contract_for_pictures_on_a_gpu(name, tmp_path):
    guidance, image = built(name, {}, tmp_path), torch.rand(3, 3, 32, 48, generator=generator(0)).cuda()
    check_guidance(guidance, image).require()
    assert guidance(image).tokens.device == guidance(image).mask.device == image.device
