"""LinearDiT reproduces diffusers' SanaTransformer2DModel on the same weights, in both namings."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.registries import DENOISERS
from linearsr.core.structures import GuidanceTokens
from linearsr.core.weights import IncompleteWeights, load_sana, sana_config, widen_input
from linearsr.core.weights.sana_names import IN_A_BLOCK, OUTSIDE_BLOCKS
from tests.core.weights.sana_reference import QK_NORM, SMALL, WIDE, original_names, reference

pytest.importorskip("diffusers")


def inputs(config: dict, grid: tuple[int, int], batch: int = 3, seed: int = 1):
    """Different integer times of 1000 in a batch, and masked guidance tokens; every row keeps one."""
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(batch, config["in_channels"], *grid, generator=g)
    steps = torch.tensor([999, 512, 3])[:batch]
    tokens = torch.randn(batch, 6, config["caption_channels"], generator=g)
    mask = torch.rand(batch, 6, generator=g) > 0.4
    mask[:, 0] = True
    return z, steps, tokens, mask


def both_outputs(config: dict, grid: tuple[int, int], model, ours):
    z, steps, tokens, mask = inputs(config, grid)
    theirs = model(z, encoder_hidden_states=tokens, timestep=steps, encoder_attention_mask=mask.float(), return_dict=False)[0]
    # t in float64: 1000·t is the integer again, without a rounding of its own
    return theirs, ours(z, steps.double() / 1000, None, GuidanceTokens(tokens, mask))


CONFIGS = [SMALL, SMALL | QK_NORM, WIDE, WIDE | QK_NORM, SMALL | {"interpolation_scale": 2.0}, SMALL | {"patch_size": 2}]
IDS = ["small", "small-qk-norm", "wide", "wide-qk-norm", "positions", "patches"]


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
@pytest.mark.parametrize("grid", [(7, 5), (8, 8), (1, 3)])
def test_output_and_every_gradient_equal_diffusers(config: dict, grid: tuple[int, int]) -> None:
    model = reference(config)
    ours = DENOISERS.build(sana_config(dict(model.config)))
    report = load_sana(ours, model.state_dict())
    assert (report.missing, report.unexpected, report.new, report.widened) == ((), (), (), 0)
    side = config.get("patch_size", 1)
    theirs, mine = both_outputs(config, (grid[0] * side, grid[1] * side), model, ours)
    assert (theirs - mine).abs().max() <= 1e-6 * theirs.abs().max()  # the goal for fp32 at depth ≤ 4

    weights = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(2))
    (theirs * weights).sum().backward()
    (mine * weights).sum().backward()
    want = fused_gradients(model, ours)
    norm = torch.sqrt(sum(gradient.pow(2).sum() for gradient in want.values()))
    for name, parameter in ours.named_parameters():
        difference = (parameter.grad - want[name]).norm()
        assert difference <= 1e-5 * norm, f"{name}: {difference / norm:.1e} of the whole gradient"


def fused_gradients(model, ours) -> dict[str, torch.Tensor]:
    """diffusers' gradients under our names, carried over by the loader that carries weights."""
    carrier = DENOISERS.build(sana_config(dict(model.config)))
    load_sana(carrier, {name: parameter.grad for name, parameter in model.named_parameters()})
    return carrier.state_dict()


@pytest.mark.parametrize("config", [SMALL, SMALL | QK_NORM], ids=["plain", "qk-norm"])
def test_both_namings_load_to_the_same_weights(config: dict) -> None:
    state = reference(config).state_dict()
    one, two = (DENOISERS.build(sana_config(config)) for _ in range(2))
    load_sana(one, state)
    assert load_sana(two, original_names(state)).unexpected == ()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name


@pytest.mark.parametrize("config", [SMALL, SMALL | {"interpolation_scale": 2.0}], ids=["plain", "positions"])
def test_a_denoiser_with_a_stem_starts_as_the_pretrained_one_whatever_the_lr(config: dict) -> None:
    model = reference(config)
    plain = DENOISERS.build(sana_config(config))
    load_sana(plain, model.state_dict())
    stem = {"type": "ConvStem", "width": 6}
    wide = DENOISERS.build(sana_config(config) | {"lr_stem": stem}, latent_factor=8, upscale=4)
    report = load_sana(wide, model.state_dict())
    assert report.widened == 6
    assert report.new
    assert all(name.startswith("lr_stem.") for name in report.new)
    z, steps, tokens, mask = inputs(config, (7, 5))
    t, guidance = steps.double() / 1000, GuidanceTokens(tokens, mask)
    for seed in (0, 1):
        lr = torch.randn(3, 3, 14, 10, generator=torch.Generator().manual_seed(seed))
        out = wide(z, t, lr, guidance)
        assert torch.equal(out, plain(z, t, None, guidance))
    out.pow(2).sum().backward()
    assert wide.patch_embed.weight.grad[:, 8:].abs().min() > 0


def test_widening_copies_the_old_columns_and_zeroes_the_new() -> None:
    weight = torch.randn(5, 4, 1, 1)
    wide = widen_input(weight, 7)
    assert torch.equal(wide[:, :4], weight)
    assert not wide[:, 4:].any()


def test_a_diffusers_folder_loads_from_one_file_from_parts_and_from_a_pipeline(tmp_path: Path) -> None:
    model = reference(SMALL)
    want = DENOISERS.build(sana_config(SMALL))
    load_sana(want, model.state_dict())
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    model.save_pretrained(tmp_path / "pipeline" / "transformer")
    model.save_pretrained(tmp_path / "pickled", safe_serialization=False)
    save_file(original_names(model.state_dict()), tmp_path / "original.safetensors")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    for source in ("one", "parts", "pipeline", "pickled", "original.safetensors"):
        folder = tmp_path / source
        config = SMALL if folder.is_file() else folder
        denoiser = DENOISERS.build(sana_config(config))
        load_sana(denoiser, folder)
        assert all(torch.equal(tensor, want.state_dict()[name]) for name, tensor in denoiser.state_dict().items()), source


def test_missing_and_unexpected_names_are_reported_and_warned_of() -> None:
    state = reference(SMALL).state_dict()
    del state["transformer_blocks.1.ff.conv_point.weight"]
    state["controlnet.weight"] = torch.zeros(1)
    with pytest.warns(
        IncompleteWeights, match=r"1 missing: blocks\.1\.feed_forward\.contract\.weight; 1 unexpected: controlnet\.weight"
    ):
        report = load_sana(DENOISERS.build(sana_config(SMALL)), state)
    assert report.missing == ("blocks.1.feed_forward.contract.weight",)
    assert report.unexpected == ("controlnet.weight",)


def test_what_is_not_sanas_leaves_the_denoiser_untouched() -> None:
    denoiser = DENOISERS.build(sana_config(SMALL))
    before = {name: tensor.clone() for name, tensor in denoiser.state_dict().items()}
    with pytest.raises(WeightsError, match="no weights of Sana"):
        load_sana(denoiser, {"a": torch.zeros(1)})
    with pytest.raises(WeightsError, match="build the denoiser from sana_config"):
        load_sana(denoiser, reference(WIDE).state_dict())
    patches = SMALL | {"in_channels": 2, "out_channels": 2, "patch_size": 2}  # as many numbers in another order
    with pytest.raises(WeightsError, match="build the denoiser from sana_config"):
        load_sana(denoiser, reference(patches).state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in denoiser.state_dict().items())


@pytest.mark.parametrize(
    ("heads", "layers", "cross", "millions"), [(36, 28, (16, 72), 591.7), (70, 20, (20, 112), 1604.5)], ids=["0.6B", "1.6B"]
)
def test_the_published_sizes_have_the_published_number_of_parameters(
    heads: int, layers: int, cross: tuple[int, int], millions: float
) -> None:
    config = sana_config(
        {
            "num_attention_heads": heads, "num_layers": layers, "num_cross_attention_heads": cross[0],
            "cross_attention_head_dim": cross[1], "cross_attention_dim": heads * 32,
        }
    )  # fmt: skip
    with torch.device("meta"):
        denoiser = DENOISERS.build(config)
    assert round(sum(parameter.numel() for parameter in denoiser.parameters()) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"guidance_embeds": True}, "guidance_embeds=True; LinearDiT has False only"),
        ({"attention_bias": True}, "attention_bias"),
        ({"qk_norm": "layer_norm"}, "qk_norm='layer_norm'"),
        ({"out_channels": 16}, "out_channels=16; wanted in_channels=8"),
        ({"num_cross_attention_heads": 3}, "their product must be the width 16"),
    ],
)
def test_a_config_that_linear_dit_cannot_have_is_refused_by_its_key(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sana_config(SMALL | change)


def test_a_folder_without_config_or_weights_says_what_was_wanted(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"wanted .*config\.json"):
        sana_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    with pytest.raises(WeightsError, match=r"holds no weights; wanted diffusion_pytorch_model\.safetensors"):
        load_sana(DENOISERS.build(sana_config(tmp_path)), tmp_path)


@pytest.mark.parametrize("config", [SMALL, SMALL | QK_NORM], ids=["plain", "qk-norm"])
def test_every_row_of_the_name_tables_is_used(config: dict) -> None:
    names = DENOISERS.build(sana_config(SMALL | QK_NORM)).state_dict()
    for table, prefix in ((OUTSIDE_BLOCKS, ""), (IN_A_BLOCK, "blocks.0.")):
        for stem in table:
            assert any(name == prefix + stem or name.startswith(f"{prefix}{stem}.") for name in names), stem
    with warnings.catch_warnings():
        warnings.simplefilter("error", IncompleteWeights)
        load_sana(DENOISERS.build(sana_config(config)), reference(config).state_dict())
