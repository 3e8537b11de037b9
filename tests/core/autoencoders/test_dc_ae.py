"""DC-AE from a folder: diffusers' own model, its scale in one place, tiles, and the folders that are refused."""

import json
import shutil

import pytest
import torch

from linearsr.core.autoencoders import DCAE
from linearsr.core.errors import ConfigError, MissingExtraError, ShapeError, WeightsError
from tests.strategies import normal

SCALE = 0.41407
"""Of Sana's DC-AE, f32c32."""


@torch.no_grad()
def test_it_encodes_and_decodes_as_diffusers_does(dc_model, dc_folder):
    mine = DCAE(str(dc_folder))
    image = normal(0, 2, 3, 64, 96).float()
    z = mine.encode(image)
    assert (mine.factor, mine.channels, tuple(z.shape)) == (32, 8, (2, 8, 2, 3))
    # the same float32 operations; diffusers multiplies after the model too
    torch.testing.assert_close(z, dc_model.encode(image).latent * SCALE, rtol=0, atol=1e-5)
    torch.testing.assert_close(mine.decode(z), dc_model.decode(z / SCALE).sample, rtol=0, atol=1e-5)


def test_the_scale_is_that_of_the_folder(dc_folder, tmp_path):
    folder = shutil.copytree(dc_folder, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"scaling_factor": 2 * SCALE}))
    image = normal(0, 1, 3, 32, 32).float()
    torch.testing.assert_close(DCAE(str(folder)).encode(image), 2 * DCAE(str(dc_folder)).encode(image), rtol=1e-6, atol=0)


def test_a_pipelines_folder_and_shards_load_alike(dc_model, dc_folder, tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    dc_model.save_pretrained(tmp_path / "vae", max_shard_size="100KB")
    assert len(list((tmp_path / "vae").glob("*.safetensors"))) > 1
    image = normal(0, 1, 3, 32, 32).float()
    assert torch.equal(DCAE(str(tmp_path)).encode(image), DCAE(str(dc_folder)).encode(image))


@torch.no_grad()
def test_tiles_leave_a_constant_alone_and_blend_what_they_change(dc_folder):
    """Random weights with attention over the picture: what tiles change is large, but spread, not at their edges."""
    whole, tiled = DCAE(str(dc_folder)), DCAE(str(dc_folder), tile=128)
    assert torch.equal(DCAE(str(dc_folder), tile=256).encode(x := normal(0, 1, 3, 256, 256).float()), whole.encode(x))
    z = torch.nn.functional.interpolate(normal(0, 1, 8, 3, 3), size=(10, 12), mode="bicubic").float()
    difference = tiled.decode(z) - whole.decode(z)
    steps = difference.diff(dim=-1).abs().mean((0, 1, 2))
    edges = [32 * start - 1 for start in (3, 6)] + [32 * end - 1 for end in (4, 7)]  # tiles of 4 begin at 0, 3, 5, 8 or so
    assert steps[edges].max() <= 3 * steps.mean()


def test_a_small_tile_or_one_that_is_no_multiple_is_refused(dc_folder):
    for tile in (32, 48, 0, True):
        with pytest.raises(ConfigError, match=r"autoencoder\.tile"):
            DCAE(str(dc_folder), tile=tile)


@pytest.mark.parametrize("size", [(1, 3, 32, 33), (1, 3, 16, 32), (1, 4, 32, 32), (3, 32, 32)])
def test_a_picture_of_an_illegal_shape_is_refused(dc_folder, size):
    with pytest.raises(ShapeError, match="multiples of 32"):
        DCAE(str(dc_folder)).encode(torch.zeros(size))


@pytest.mark.parametrize("name", ["config.json", "diffusion_pytorch_model.safetensors"])
def test_a_missing_file_is_named_with_its_place(dc_folder, tmp_path, name):
    folder = shutil.copytree(dc_folder, tmp_path / "lacking")
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=rf"{name} does not exist; wanted at {folder}.*nothing was downloaded.*folder"):
        DCAE(str(folder))


def test_a_folder_of_another_model_and_a_damaged_config_are_refused(dc_folder, tmp_path):
    folder = shutil.copytree(dc_folder, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    for change, told in (
        ({"_class_name": "AutoencoderKL"}, "wanted 'AutoencoderDC'"),
        ({"scaling_factor": None}, "scaling_factor=None"),
        ({"latent_channels": 4}, "of another shape"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(WeightsError, match=told):
            DCAE(str(folder)).load()
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot be read"):
        DCAE(str(folder))


def test_damaged_weights_are_refused(dc_folder, tmp_path):
    folder = shutil.copytree(dc_folder, tmp_path / "damaged")
    file = folder / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be read"):
        DCAE(str(folder)).load()


def test_without_diffusers_the_extra_is_named(dc_folder, monkeypatch):
    monkeypatch.setattr("linearsr.core.autoencoders.dc_ae.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"linearsr\[sana\]"):
        DCAE(str(dc_folder))
