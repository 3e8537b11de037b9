"""Guidance by tags and by pictures inside of LinearSR: it is used, it is frozen, and it is in no checkpoint."""

import copy
from typing import NamedTuple

import pytest
import torch

from linearsr.core.models import LinearSR
from linearsr.core.structures import SRBatch
from tests.core.models.guided_models import DENOISER
from tests.guidance.fakes import ENCODER, TAGGER
from tests.guidance.test_tag_guidance import painted

TAGS = {"type": "TagGuidance", "tagger": TAGGER, "text_encoder": ENCODER}


def model(guidance) -> LinearSR:
    parts = {
        "autoencoder": {"type": "ResidualPixelShuffle"},
        "denoiser": DENOISER,
        "path": {"type": "RectifiedFlow"},
        "time_sampler": {"type": "UniformTimes"},
        "time_grid": {"type": "UniformGrid"},
        "solver": {"type": "Euler"},
    }
    torch.manual_seed(0)
    return LinearSR(4, guidance=guidance, **parts)


def noise(batch=2, side=8):
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0))


def fixed(*tags):
    return {**TAGS, "tagger": {"type": "FixedTags", "tags": list(tags)}}


def test_other_tags_make_another_picture_and_the_same_tags_the_same():
    cat, dog, again = (model(fixed(*tags)).restore(noise()) for tags in (["cat"], ["dog"], ["cat"]))
    assert torch.equal(cat, again)
    assert not torch.equal(cat, dog)


def test_the_words_of_a_user_count():
    tagged = model(fixed("cat"))
    assert not torch.equal(tagged.restore(noise()), tagged.restore(noise(), prompts=["by night", "by day"]))


def test_without_a_tag_the_picture_is_that_of_the_same_model_without_cross_attention():
    tagged = model(fixed())
    silent = tagged.restore(noise())
    for name, parameter in tagged.denoiser.named_parameters():
        if "cross" in name:
            parameter.data.normal_()
    assert torch.equal(tagged.restore(noise()), silent)


def test_a_picture_without_tags_in_a_batch_with_tags_is_restored_as_alone():
    tagged = model(TAGS)
    image = torch.cat((painted("r"), painted("rgb") * 0.3))
    assert tagged.guidance(image).mask.any(1).tolist() == [True, False]
    together = tagged.restore(image)
    alone = torch.cat([tagged.restore(picture[None]) for picture in image])
    assert (together - alone).abs().max() <= 5e-6  # GEMMs of one picture and of two round differently


@pytest.mark.parametrize(("tags", "reached"), [(["cat"], True), ([], False)])
def test_gradient_reaches_the_projection_where_there_are_tags(tags, reached):
    tagged = model(fixed(*tags))
    tagged.loss(SRBatch(noise(), (0, 1), noise(side=32)))["loss"].backward()
    for name, parameter in tagged.denoiser.guidance_projection.named_parameters():
        assert bool(parameter.grad.any()) == reached, name


def test_in_training_the_clean_picture_is_tagged_and_in_use_the_lr():
    tagged = model(TAGS)
    seen = []
    tagged.guidance.tagger = lambda image: (seen.append(tuple(image.shape[-2:])), [[] for _ in image])[1]
    tagged.loss(SRBatch(noise(), (0, 1), noise(side=32)))
    tagged.restore(noise())
    assert seen == [(32, 32), (8, 8)]


@pytest.mark.parametrize("kind", ["tags", "minilm", "clip", "dino", "joined"])
def test_no_weight_of_an_encoder_is_in_a_checkpoint_an_optimiser_or_a_copy(kind, vision):
    dino = {"type": "DINOGuidance", "folder": str(vision["dino"]), "side": 28}
    guidance = {
        "tags": TAGS,
        "minilm": {**TAGS, "text_encoder": {"type": "MiniLMTextEncoder"}},
        "clip": {"type": "CLIPImageGuidance", "folder": str(vision["clip"])},
        "dino": dino,
        "joined": {"type": "JoinedGuidance", "guidance": [TAGS, dino], "width": 16, "source": "lr"},
    }[kind]
    guided = model(guidance)
    guided.restore(noise())
    guided.train()
    assert {name.split(".")[0] for name in guided.state_dict()} <= {"denoiser", "autoencoder"}
    assert {name.split(".")[0] for name, _ in guided.named_parameters()} == {"denoiser"}
    assert copy.deepcopy(guided).guidance is guided.guidance


class Answer(NamedTuple):
    """Of a guidance that imports nothing of ours."""

    tokens: torch.Tensor
    mask: torch.Tensor


class Foreign:
    width, source, cacheable = 2, "lr", True

    def __call__(self, image_01, prompts=None):
        return Answer(image_01.mean((2, 3))[:, None, :2], torch.ones(len(image_01), 1, dtype=torch.bool))

    def null(self, batch):
        return Answer(torch.zeros(batch, 1, 2), torch.ones(batch, 1, dtype=torch.bool))


def test_a_guidance_that_imports_nothing_of_ours_is_used_in_training_and_in_use():
    kind = {"type": f"{__name__}.Foreign"}
    joined = {"type": "JoinedGuidance", "guidance": [kind, {"type": "NullGuidance", "width": 2}]}
    for described, prompts in ((kind, ["a word", None]), (joined, None)):
        made = model(described)
        made.guidance_drop = 0.5
        made.loss(SRBatch(noise(), (0, 1), noise(side=32)), prompts)["loss"].backward()
        assert made.restore(noise(), prompts=prompts).shape == (2, 3, 32, 32)


def test_tokens_are_the_same_under_autocast_as_without(monkeypatch):
    seen = []
    monkeypatch.setattr(Foreign, "__call__", lambda self, image_01, prompts=None: seen.append(torch.is_autocast_enabled("cpu")))
    made = model({"type": f"{__name__}.Foreign"})
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(AttributeError):  # it answers with nothing
        made.restore(noise())
    assert seen == [False]
