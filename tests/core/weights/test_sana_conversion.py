"""What Sana does not have is drawn from a seed of its own, and from nobody else's generator."""

from pathlib import Path

import pytest
import torch

from linearsr.core.registries import DENOISERS
from linearsr.core.weights import convert_sana
from tests.core.weights.sana_reference import SMALL, reference

pytest.importorskip("diffusers")
STEM = {"type": "ConvStem", "width": 8}
DESCRIBED = {
    "type": "LinearDiT", "depth": 2, "width": 16, "head_width": 8, "cross_head_width": 8, "lr_stem": STEM,
    "attention": {"type": "ReLULinearAttention"}, "feed_forward": {"type": "GatedConvFeedForward", "ratio": 2.5},
}  # fmt: skip
SIZES = {"latent_factor": 2, "upscale": 1}


@pytest.fixture(scope="module")
def sana(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sana")
    reference(SMALL).save_pretrained(folder)
    return folder


def test_a_conversion_leaves_the_global_generator_as_it_was(sana: Path) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    convert_sana(sana, DESCRIBED, seed=3, **SIZES)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_stem_is_what_a_denoiser_of_that_seed_begins_with(sana: Path) -> None:
    state, report = convert_sana(sana, DESCRIBED, seed=3, **SIZES)
    torch.manual_seed(3)
    built = DENOISERS.build(
        DESCRIBED, latent_channels=SMALL["in_channels"], guidance_width=SMALL["caption_channels"], **SIZES
    ).state_dict()
    assert report.new
    assert all(torch.equal(state[f"denoiser.{name}"], built[name]) for name in report.new)
