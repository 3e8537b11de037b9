"""A Sana checkpoint becomes the start of a run of ours."""

import pytest
import torch
from safetensors.torch import save_file

from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.models import build_model
from linearsr.core.models.starting import start_from
from linearsr.core.structures import GuidanceTokens
from linearsr.core.weights import convert_sana, read_state_dict
from tests.core.weights.sana_reference import SMALL, original_names, reference

SANA = SMALL | {"in_channels": 12, "out_channels": 12, "caption_channels": 16}
CONFIG = """
default_scope = "linearsr"
randomness = dict(seed=3)
model = dict(
    type="LinearSR", upscale=1, autoencoder=dict(type="PixelShuffle", factor=2), guidance=dict(type="NullGuidance", width=16),
    denoiser=DENOISER, path=dict(type="RectifiedFlow"), time_sampler=dict(type="UniformTimes"),
    time_grid=dict(type="UniformGrid"), solver=dict(type="DPMSolver"))
"""
DENOISER = """dict(
    type="LinearDiT", depth=2, width=16, head_width=8, cross_head_width=8, attention=dict(type="ReLULinearAttention"),
    feed_forward=dict(type="GatedConvFeedForward", ratio=2.5), lr_stem=dict(type="ConvStem", width=8))"""
MIXTURE = f'dict(type="ExpertMixture", router=dict(type="UniformRouter", num_experts=2), expert={DENOISER})'


@pytest.fixture(scope="module")
def sana():
    pytest.importorskip("diffusers")
    return reference(SANA).eval()


@pytest.fixture(params=["folder", "pipeline", "diffusers file", "original file"])
def source(request, sana, tmp_path):
    if request.param in ("folder", "pipeline"):
        folder = tmp_path / "sana" / ("transformer" if request.param == "pipeline" else "")
        sana.save_pretrained(folder)
        return tmp_path / "sana"
    named = sana.state_dict() if request.param == "diffusers file" else original_names(sana.state_dict())
    save_file({name: tensor.contiguous().clone() for name, tensor in named.items()}, tmp_path / "sana.safetensors")
    return tmp_path / "sana.safetensors"


def config(folder, denoiser):
    path = folder / "config.py"
    path.write_text(CONFIG.replace("DENOISER", denoiser))
    return path


@pytest.mark.parametrize("denoiser", [DENOISER, MIXTURE], ids=["dense", "mixture"])
def test_a_run_starts_as_sana_whatever_the_lr(sana, source, tmp_path, denoiser, run):
    path, out = config(tmp_path, denoiser), tmp_path / "start.safetensors"
    done = run("convert_sana.py", str(source), str(path), "--out", str(out), "--latent-factor", "2")
    assert done.returncode == 0, done.stderr
    assert "input channels added at 0" in done.stdout
    model = build_model(path).eval()
    start_from(model, read_state_dict(out), str(out))
    z, t = torch.randn(2, 12, 6, 5), torch.tensor([0.3, 0.9])
    tokens, mask = torch.randn(2, 4, 16), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
    with torch.no_grad():
        want = sana(z, tokens, 1000 * t, encoder_attention_mask=mask.long(), return_dict=False)[0]
        for lr in (torch.zeros(2, 3, 12, 10), torch.rand(2, 3, 12, 10)):
            got = model.denoiser(z, t, lr, GuidanceTokens(tokens, mask))
            assert (got - want).abs().max() <= 1e-5 * want.abs().max()  # float32: products in another order


def test_the_stem_is_drawn_from_the_configs_seed(sana, tmp_path):
    sana.save_pretrained(tmp_path / "sana")
    described = {"type": "LinearDiT", "depth": 2, "width": 16, "head_width": 8, "cross_head_width": 8,
                 "attention": {"type": "ReLULinearAttention"}, "feed_forward": {"type": "GatedConvFeedForward", "ratio": 2.5},
                 "lr_stem": {"type": "ConvStem", "width": 8}}  # fmt: skip
    once, again, other = (
        convert_sana(tmp_path / "sana", described, upscale=1, latent_factor=2, seed=seed)[0] for seed in (3, 3, 4)
    )
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not torch.equal(once["denoiser.lr_stem.convs.0.weight"], other["denoiser.lr_stem.convs.0.weight"])
    with pytest.raises(ConfigError, match=r"model\.denoiser is 'Other'"):
        convert_sana(tmp_path / "sana", {"type": "Other"}, upscale=1)
    for depth, message in ((3, r"lacks \d+ tensors: blocks\.2"), (1, r"has besides \d+ tensors: transformer_blocks\.1")):
        with pytest.raises(WeightsError, match=message):
            convert_sana(tmp_path / "sana", described | {"depth": depth}, upscale=1, latent_factor=2)


def test_weights_of_something_else_are_refused_in_one_line(tmp_path, run):
    save_file({"a.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    path, out = config(tmp_path, DENOISER), tmp_path / "start.safetensors"
    done = run("convert_sana.py", str(tmp_path / "other.safetensors"), str(path), "--out", str(out))
    assert done.returncode == 2
    assert "holds no weights of Sana" in done.stderr
    assert not out.exists()
