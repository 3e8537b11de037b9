"""The method as a whole, on a tiny denoiser written here: what each stage is given, and what comes out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from linearsr.core.data import degrade_bicubic
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.models import LinearSR
from linearsr.core.models.padding import pad_to_multiple
from linearsr.core.resampling import resize_bicubic
from linearsr.core.structures import SRBatch
from tests.strategies import seeds


class TinyDenoiser(nn.Module):
    """Convolves z_t and the LR; starts at exactly 0. patch_size makes illegal sizes possible."""

    def __init__(self, latent_channels: int, latent_factor: int, upscale: int, patch_size: int = 1, zero: bool = True):
        super().__init__()
        self.patch_size = patch_size
        self.stride = latent_factor // upscale
        self.net = nn.Conv2d(latent_channels + 3, latent_channels, 3, padding=1)
        if zero:
            nn.init.zeros_(self.net.weight)
            nn.init.zeros_(self.net.bias)

    def prepare(self, lr, guidance, times=None):
        return lr, guidance

    def forward(self, z_t, t, lr, guidance, *, prepared=None):
        lr, guidance = prepared if prepared is not None else (lr, guidance)
        assert z_t.shape[-1] % self.patch_size == 0
        shift = 0 if guidance is None else guidance.tokens.mean()
        return self.net(torch.cat([z_t, lr[..., :: self.stride, :: self.stride]], 1)) + shift + 0 * t.to(z_t).view(-1, 1, 1, 1)


DENOISER = f"{__name__}.TinyDenoiser"


def model(upscale=4, **changes) -> LinearSR:
    parts = {
        "autoencoder": {"type": "ResidualPixelShuffle"},
        "denoiser": {"type": DENOISER},
        "path": {"type": "RectifiedFlow"},
        "time_sampler": {"type": "UniformTimes"},
        "time_grid": {"type": "UniformGrid"},
        "solver": {"type": "Euler"},
        "preconditioner": {"type": "VelocityPreconditioner"},
    }
    torch.manual_seed(0)
    return LinearSR(upscale, **(parts | changes))


def photo(seed: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@given(seed=seeds, height=st.integers(1, 21), width=st.integers(1, 21))
def test_one_step_of_an_untrained_model_is_bicubic_exactly_at_every_size(seed: int, height: int, width: int) -> None:
    lr = photo(seed, height, width)
    restored = model().restore(lr)
    assert restored.shape == (1, 3, 4 * height, 4 * width)
    # one rounding of float32 in each of −1..1 and back
    assert (restored - resize_bicubic(lr, (4 * height, 4 * width)).clamp(0, 1)).abs().max() < 2e-6


@pytest.mark.parametrize(("upscale", "patch_size"), [(1, 1), (2, 1), (4, 3)])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 3)])
def test_any_size_comes_back_at_exactly_the_upscale(upscale: int, patch_size: int, size: tuple[int, int]) -> None:
    denoiser = {"type": DENOISER, "patch_size": patch_size, "zero": False}
    restored = model(upscale, denoiser=denoiser).restore(photo(0, *size), num_steps=2)
    assert restored.shape[-2:] == (upscale * size[0], upscale * size[1])
    assert restored.min() >= 0
    assert restored.max() <= 1


def test_a_picture_is_restored_alike_alone_in_a_batch_and_in_any_order() -> None:
    method = model(denoiser={"type": DENOISER, "zero": False})
    pictures = torch.cat([photo(i, 6, 5) for i in range(3)])
    together = method.restore(pictures, num_steps=3)
    turned = method.restore(pictures.flip(0), num_steps=3).flip(0)
    alone = torch.cat([method.restore(p[None], num_steps=3) for p in pictures])
    # convolutions of another batch size sum in another order: float32 rounding
    assert (together - turned).abs().max() < 1e-5
    assert (together - alone).abs().max() < 1e-5


def test_noise_comes_from_the_seed_that_is_given() -> None:
    method = model(denoiser={"type": DENOISER, "zero": False})
    lr = photo(0, 6, 6)
    assert torch.equal(method.restore(lr, 2, seeds=[1]), method.restore(lr, 2, seeds=[1]))
    assert (method.restore(lr, 2, seeds=[1]) - method.restore(lr, 2, seeds=[2])).abs().max() > 1e-3


def test_the_loss_is_the_error_of_the_velocity_written_out() -> None:
    method = model(denoiser={"type": DENOISER, "zero": False}, time_sampler={"type": "EndWeightedTimes", "p_end": 0.5})
    hr = torch.cat([photo(i, 16, 24) for i in range(4)])
    lr = degrade_bicubic(hr, 4)
    seeds_ = (5, 6, 7, 8)
    loss = method.loss(SRBatch(lr, seeds_, hr))["loss"]

    total = 0.0
    for i, seed in enumerate(seeds_):
        generator = torch.Generator().manual_seed(seed)
        t = method.time_sampler.sample(1, generator)
        z0 = method.autoencoder.encode(2 * hr[i : i + 1] - 1, 2 * lr[i : i + 1] - 1)
        z1 = torch.randn(z0.shape[1:], generator=generator)[None]
        z_t = (1 - t).float() * z0 + t.float() * z1
        variance = (1 - t) ** 2 + t**2
        features = method.denoiser.net(torch.cat([((1 - t) / variance).float() * z_t, 2 * lr[i : i + 1] - 1], 1))
        v = ((2 * t - 1) / variance).float() * z_t - features / variance.sqrt().float()
        total += (v - (z1 - z0)).pow(2).mean().item() / len(seeds_)
    assert loss.item() == pytest.approx(total, rel=1e-5)


def test_a_loss_does_not_depend_on_how_the_batch_is_divided() -> None:
    method = model(denoiser={"type": DENOISER, "zero": False})
    hr = torch.cat([photo(i, 16, 16) for i in range(4)])
    lr = degrade_bicubic(hr, 4)
    whole = method.loss(SRBatch(lr, (1, 2, 3, 4), hr))["loss"]
    halves = [method.loss(SRBatch(lr[s], seeds_, hr[s]))["loss"] for s, seeds_ in ((slice(2), (1, 2)), (slice(2, 4), (3, 4)))]
    assert whole.item() == pytest.approx(sum(halves).item() / 2, rel=1e-5)


def test_without_preconditioner_the_denoiser_is_the_velocity() -> None:
    method = model(preconditioner=None, denoiser={"type": DENOISER, "zero": False})
    z, t, lr = torch.randn(2, 48, 5, 5), torch.tensor([0.3, 1.0]), torch.rand(2, 3, 5, 5)
    assert torch.equal(method.velocity(z, t, lr), method.denoiser(z, t, lr, None))


def test_guidance_reaches_the_denoiser_and_prompts_without_guidance_are_refused() -> None:
    lr = photo(0, 5, 5)
    with pytest.raises(ConfigError, match=r"model\.guidance is None"):
        model().restore(lr, prompts=["a cat"])
    guided = model(guidance={"type": f"{__name__}.Brightness"})
    assert (guided.restore(lr) - model().restore(lr)).abs().max() > 1e-3


class Brightness(nn.Module):
    """One token that says how bright the picture is."""

    width, source, cacheable = 1, "hr", True

    def forward(self, image_01, prompts=None):
        from linearsr.core.structures import GuidanceTokens

        tokens = image_01.mean((1, 2, 3)).view(-1, 1, 1)
        return GuidanceTokens(tokens, torch.ones(len(tokens), 1, dtype=torch.bool))

    def null(self, batch):
        raise NotImplementedError


def test_what_does_not_fit_is_refused_with_the_key_to_change() -> None:
    with pytest.raises(ConfigError, match=r"model\.upscale is 3; wanted a whole number that divides"):
        model(3)
    method = model(2, denoiser={"type": DENOISER, "patch_size": 2})
    hr = photo(0, 20, 20)
    with pytest.raises(ShapeError, match=r"the pipeline's scale and model\.upscale must agree"):
        method.loss(SRBatch(photo(0, 5, 5), (0,), hr))
    with pytest.raises(ShapeError, match=r"set RandomCrop\.size to a multiple of 8"):
        method.loss(SRBatch(photo(0, 10, 10), (0,), hr))
    with pytest.raises(ConfigError, match="LR only"):
        method.loss(SRBatch(photo(0, 10, 10), (0,)))
    with pytest.raises(ConfigError, match="DrawSampler"):
        method(photo(0, 4, 4), photo(0, 8, 8), mode="loss")


@pytest.mark.parametrize(
    ("lr", "seeds_", "hr"),
    [
        (torch.rand(3, 4, 4), (0,), None),
        (torch.rand(1, 3, 4, 4), (0, 1), None),
        (torch.rand(1, 3, 4, 4), (0,), torch.rand(2, 3, 4, 4)),
    ],
)
def test_a_batch_that_is_no_batch_is_refused(lr: torch.Tensor, seeds_: tuple[int, ...], hr: torch.Tensor | None) -> None:
    with pytest.raises(ShapeError):
        SRBatch(lr, seeds_, hr)


@given(height=st.integers(1, 9), width=st.integers(1, 9), multiple=st.integers(1, 8))
def test_padding_repeats_the_last_row_and_column(height: int, width: int, multiple: int) -> None:
    image = photo(0, height, width)
    padded = pad_to_multiple(image, multiple)
    assert padded.shape[-2] % multiple == padded.shape[-1] % multiple == 0
    assert torch.equal(padded[..., :height, :width], image)
    assert torch.equal(padded[..., height:, :width], image[..., -1:, :].expand(-1, -1, padded.shape[-2] - height, -1))


@pytest.mark.parametrize(
    ("lr", "seeds_", "message"),
    [
        (torch.rand(3, 4, 4), None, r"wanted a float \[B, 3, h, w\]"),
        (torch.rand(1, 1, 4, 4), None, "wanted a float"),
        (torch.ones(1, 3, 4, 4, dtype=torch.uint8), None, "wanted a float"),
        (255 * torch.rand(1, 3, 4, 4), None, r"wanted 0\.\.1"),
        (torch.full((1, 3, 4, 4), torch.nan), None, "without NaN"),
        (torch.rand(2, 3, 4, 4), [0], "1 seeds for a batch of 2"),
    ],
)
def test_what_is_no_picture_is_refused_by_restore(lr: torch.Tensor, seeds_: list[int] | None, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        model().restore(lr, seeds=seeds_)


def test_the_autoencoder_and_the_guidance_are_not_trained() -> None:
    method = model(guidance={"type": f"{__name__}.LearnedBrightness"})
    method.train()
    assert method.training
    assert not method.guidance.training
    assert not any(parameter.requires_grad for parameter in method.guidance.parameters())


class LearnedBrightness(Brightness):
    """With a parameter that somebody else trained."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
