"""The TAESD family: against diffusers, exact tiles, and the files that are refused."""

import pytest
import torch

from linearsr.core.autoencoders import TinyAutoencoder, tiny_layers
from linearsr.core.autoencoders.conformance import check_autoencoder
from linearsr.core.data.images import read_image
from linearsr.core.errors import ConfigError, WeightsError
from tests.core.autoencoders.small_networks import write_taesd
from tests.strategies import normal


@torch.no_grad()
def test_without_the_branch_over_the_picture_it_equals_diffusers_autoencoder_tiny(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    mine = TinyAutoencoder(**write_taesd(tmp_path, channels=4, width=64, whole_picture=False), scale=0.5, shift=0.25)
    theirs = diffusers.AutoencoderTiny(latent_channels=4).eval()
    theirs.encoder.layers.load_state_dict(mine.load().encoder.state_dict())
    behind_clamp = {f"{int(n.split('.')[0]) - 1}.{n.split('.', 1)[1]}": w for n, w in mine.load().decoder.state_dict().items()}
    theirs.decoder.layers.load_state_dict(behind_clamp)
    image, latent = normal(0, 1, 3, 32, 40).float(), 4 * normal(1, 1, 4, 4, 5).float()
    want = theirs.encode(image).latents
    # rounding of float32 through 30 convolutions
    torch.testing.assert_close(mine.encode(image), (want - 0.25) * 0.5, rtol=0, atol=1e-5)
    torch.testing.assert_close(mine.decode((latent - 0.25) * 0.5), theirs.decode(latent).sample, rtol=0, atol=1e-5)


@pytest.fixture(scope="module", params=[True, False], ids=["with the branch", "without"])
def options(request, tmp_path_factory):
    return write_taesd(tmp_path_factory.mktemp("exact"), channels=3, width=4, whole_picture=request.param)


@pytest.mark.parametrize(("size", "tile"), [((21, 9), 64), ((23, 45), 128), ((9, 10), 8)])
@torch.no_grad()
def test_tiles_equal_the_whole(options, size, tile):
    whole, tiled = (TinyAutoencoder(**options, tile=side, dtype="float64") for side in (None, tile))
    h, w = size
    image, z = normal(tile, 1, 3, 8 * h, 8 * w), normal(tile, 1, 3, h, w)
    # rounding of float64
    torch.testing.assert_close(tiled.encode(image), whole.encode(image), rtol=0, atol=1e-11)
    torch.testing.assert_close(tiled.decode(z), whole.decode(z), rtol=0, atol=1e-11)


@pytest.mark.parametrize(("part", "channels", "side", "pixels"), [("encoder", 3, 320, 65), ("decoder", 2, 40, 9)])
def test_the_reach_is_that_of_the_gradient(part, channels, side, pixels):
    """Of what is done in tiles in taef2. Weights of one sign, so that nothing cancels and no ReLU is dead."""
    layers = list(getattr(tiny_layers, part)(2, 2, False))
    layers = layers[:11] if part == "encoder" else layers[6:]
    network = torch.nn.Sequential(*layers).double()
    for weight in network.parameters():
        torch.nn.init.constant_(weight, 0.05)
    x = torch.ones(1, channels, side, side, dtype=torch.float64, requires_grad=True)
    y = network(x)
    reached = set()
    for place in range(y.shape[-1] // 2, y.shape[-1] // 2 + 8):  # every phase of the decoder's 8 × 8 outputs of a pixel
        (slope,) = torch.autograd.grad(y[0, :, place, place].sum(), x, retain_graph=True)
        seen, own = slope.sum((0, 1, 2)).nonzero().flatten(), place * side // y.shape[-1]
        reached.add(max(own - seen.min().item(), seen.max().item() - own))
    assert max(reached) == tiny_layers.reach(layers) == pixels


def test_channels_and_width_come_from_the_files(tmp_path):
    assert TinyAutoencoder(**write_taesd(tmp_path, channels=16, width=12)).channels == 16


def test_files_of_another_layout_are_refused(taesd_options, tmp_path):
    swapped = {"encoder": taesd_options["decoder"], "decoder": taesd_options["encoder"]}
    with pytest.raises(WeightsError, match="does not fit"):
        TinyAutoencoder(**swapped).load()
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="no file of the TAESD family"):
        TinyAutoencoder(**taesd_options | {"encoder": str(tmp_path / "other.pth")})


def test_encoder_and_decoder_of_different_latents_are_refused(taesd_options, tmp_path):
    other = write_taesd(tmp_path, channels=4)
    with pytest.raises(WeightsError, match="does not fit"):
        TinyAutoencoder(taesd_options["encoder"], other["decoder"]).load()


def test_a_missing_file_is_named_with_its_place(taesd_options, tmp_path):
    with pytest.raises(WeightsError, match=rf"decoder\.pth does not exist; wanted at {tmp_path}.*nothing was downloaded"):
        TinyAutoencoder(taesd_options["encoder"], str(tmp_path / "decoder.pth"))


@pytest.mark.parametrize(
    ("key", "value"),
    [("tile", 12), ("tile", 0), ("scale", 0), ("shift", float("nan")), ("dtype", "fp16"), ("device", "gpu")],
)
def test_an_impossible_option_is_refused_with_its_key(taesd_options, key, value):
    with pytest.raises(ConfigError, match=rf"autoencoder\.{key}"):
        TinyAutoencoder(**taesd_options, **{key: value})


@pytest.fixture(scope="module")
def taef2(data_root):
    return TinyAutoencoder(*(str(data_root / "weights" / f"taef2_{part}.pth") for part in ("encoder", "decoder")))


@pytest.fixture(scope="module")
def photos_pm1(data_root):
    """Two pictures of Set5, sides cut to multiples of 8."""
    photos = [read_image(path) for path in sorted((data_root / "eval" / "Set5" / "HR").iterdir())[2:4]]
    return [2 * photo[None, :, : photo.shape[1] // 8 * 8, : photo.shape[2] // 8 * 8] - 1 for photo in photos]


def test_taef2_keeps_its_contract_with_unit_variance_of_photos(taef2, photos_pm1):
    """The check's random pictures are noise, which taef2 does not bring back; photos are below."""
    assert (taef2.factor, taef2.channels) == (8, 32)
    check_autoencoder(taef2, tolerance=None, photos_pm1=photos_pm1).require()


@torch.no_grad()
def test_photos_come_back_through_taef2_in_tiles_too(taef2, photos_pm1, data_root):
    photo = photos_pm1[1][:, :, :192, :192]
    z = taef2.encode(photo)
    picture = taef2.decode(z)
    error = (picture.clamp(-1, 1) - photo).square().mean() / 4
    assert -10 * error.log10() > 29  # measured: 29.49 dB
    tiled = TinyAutoencoder(str(taef2.encoder_file), str(taef2.decoder_file), tile=64)
    # rounding of float32 by another order of sums; 0 was measured
    torch.testing.assert_close(tiled.encode(photo), z, rtol=0, atol=1e-5)
    torch.testing.assert_close(tiled.decode(z), picture, rtol=0, atol=1e-5)
