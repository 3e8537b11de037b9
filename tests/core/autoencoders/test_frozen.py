"""What autoencoders with weights of their own promise a model: frozen, in no checkpoint, shared by copies."""

import copy
import pickle

import pytest
import torch

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.models.building import build_model
from linearsr.core.structures import SRBatch
from tests.strategies import normal


def test_nothing_of_it_is_trained(frozen):
    assert not any(weight.requires_grad for weight in frozen.load().parameters())
    assert not frozen.load().training


def test_a_copy_shares_the_weights_and_a_pickle_leaves_them_out(frozen):
    networks = frozen.load()
    assert copy.deepcopy(frozen).load() is networks
    written = pickle.dumps(frozen)
    assert len(written) < 20_000  # the weights have more
    image = normal(0, 1, 3, 32, 32).float()
    assert torch.equal(pickle.loads(written).encode(image), frozen.encode(image))


def test_memory_given_back_is_taken_again(frozen):
    image = normal(0, 1, 3, 32, 32).float()
    before = frozen.encode(image)
    frozen.unload()
    assert torch.equal(frozen.encode(image), before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_what_comes_out_has_the_type_of_what_came_in(frozen, dtype):
    z = frozen.encode(normal(0, 1, 3, 32, 32).to(dtype))
    assert z.dtype == dtype
    assert frozen.decode(z).dtype == dtype


def test_autocast_around_it_changes_nothing(frozen):
    image = normal(0, 1, 3, 32, 32).float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = frozen.encode(image)
    assert torch.equal(inside, frozen.encode(image))


def test_a_latent_of_an_illegal_shape_is_refused(frozen):
    for size in ((1, frozen.channels + 1, 2, 2), (frozen.channels, 2, 2), (1, frozen.channels, 0, 2)):
        with pytest.raises(ShapeError, match="wants"):
            frozen.decode(torch.zeros(size))


@pytest.fixture(scope="module")
def model(taesd_options):
    denoiser = {
        "type": "LinearDiT",
        "depth": 1,
        "width": 32,
        "head_width": 32,
        "attention": {"type": "ReLULinearAttention"},
        "feed_forward": {"type": "GatedConvFeedForward", "ratio": 2.0},
        "lr_stem": {"type": "ConvStem", "width": 8, "depth": 2},
    }
    return build_model(
        {
            "type": "LinearSR",
            "upscale": 4,
            "autoencoder": {"type": "TinyAutoencoder", **taesd_options},
            "denoiser": denoiser,
            "path": {"type": "RectifiedFlow"},
            "time_sampler": {"type": "LogitNormalTimes"},
            "time_grid": {"type": "UniformGrid"},
            "solver": {"type": "Euler"},
        }
    )


def test_a_models_checkpoint_holds_the_denoiser_alone(model):
    model.autoencoder.load()
    assert {name.split(".")[0] for name in model.state_dict()} == {"denoiser"}
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"denoiser"}
    assert copy.deepcopy(model).autoencoder is model.autoencoder


def test_a_model_trains_on_its_latents_and_restores_any_size(model):
    lr = normal(0, 2, 3, 8, 12).float().sigmoid()
    hr = torch.nn.functional.interpolate(lr, scale_factor=4)
    model.train().loss(SRBatch(lr, (1, 2), hr))["loss"].backward()
    assert all(weight.grad is None for weight in model.autoencoder.load().parameters())
    restored = model.eval().restore(lr[:, :, :7, :5])
    assert restored.shape == (2, 3, 28, 20)
    assert restored.isfinite().all()


@pytest.mark.gpu
def test_it_goes_where_the_pictures_are(frozen):
    image = normal(0, 1, 3, 64, 64).float()
    on_cpu = frozen.encode(image)
    on_cuda = frozen.encode(image.cuda())
    assert on_cuda.is_cuda
    # TF32 may round the products to 10 bits
    torch.testing.assert_close(on_cuda.cpu(), on_cpu, rtol=0, atol=0.02 * on_cpu.abs().max().item())


def test_the_meta_device_is_refused_and_the_weights_are_not_lost(frozen):
    before = frozen.encode(image := normal(0, 1, 3, 32, 32).float())
    with pytest.raises(ConfigError, match="meta"):
        frozen.encode(image.to("meta"))
    assert torch.equal(frozen.encode(image), before)
