"""NIQE equals its published algorithm written out as loops, and ranks pictures as it should."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.data.images import list_images, read_image
from linearsr.core.errors import WeightsError
from linearsr.core.evaluation.block_statistics import fit_aggd
from linearsr.core.evaluation.niqe import NIQEParameters, niqe
from linearsr.core.pixels import round_to_8bit
from linearsr.core.resampling import resize_bicubic
from tests.strategies import normal, seeds

ndimage = pytest.importorskip("scipy.ndimage")
gamma = pytest.importorskip("scipy.special").gamma


def made_up_parameters() -> NIQEParameters:
    """A window as published (7×7 Gaussian, σ = 7/6) and a positive definite covariance."""
    offsets = torch.arange(-3, 4, dtype=torch.float64)
    window = torch.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * (7 / 6) ** 2))
    root = normal(3, 36, 36) / 6
    return NIQEParameters(normal(4, 36), root @ root.T + torch.eye(36), window / window.sum())


def photo_like(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Noise blurred at several scales: no block is flat."""
    noise = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    return round_to_8bit(torch.from_numpy(ndimage.gaussian_filter(noise.numpy(), (0, 1, 1)) * 2 - 0.5 + 0.1 * noise.numpy()))


def slow_niqe(image_01: torch.Tensor, parameters: NIQEParameters) -> float:
    """Loop by loop as BasicSR's release of the MATLAB code; shares nothing with ours but the luma weights."""
    red, green, blue = image_01.double().numpy()
    luma = np.round(65.481 * red + 128.553 * green + 24.966 * blue + 16)
    rows, columns = luma.shape[0] // 96, luma.shape[1] // 96
    luma = luma[: rows * 96, : columns * 96]
    scales = []
    for side, y in ((96, luma), (48, slow_half(luma))):
        mean = ndimage.convolve(y, parameters.window.numpy(), mode="nearest")
        deviation = np.sqrt(np.abs(ndimage.convolve(y**2, parameters.window.numpy(), mode="nearest") - mean**2))
        normalised = (y - mean) / (deviation + 1)
        blocks = [normalised[i * side :][:side, j * side :][:, :side] for i in range(rows) for j in range(columns)]
        scales.append(np.array([slow_features(block) for block in blocks]))
    features = np.concatenate(scales, axis=1)
    distance = parameters.mean.numpy() - features.mean(0)
    pooled = (parameters.covariance.numpy() + np.cov(features, rowvar=False)) / 2
    return float(np.sqrt(distance @ np.linalg.pinv(pooled) @ distance))


def slow_features(block: np.ndarray) -> list[float]:
    shape, left, right = slow_aggd(block)
    features = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = slow_aggd(block * np.roll(block, shift, axis=(0, 1)))
        features += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return features


def slow_aggd(block: np.ndarray) -> tuple[float, float, float]:
    shapes = np.arange(0.2, 10.001, 0.001)
    table = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    left, right = np.sqrt(np.mean(block[block < 0] ** 2)), np.sqrt(np.mean(block[block > 0] ** 2))
    ratio = left / right
    target = np.mean(np.abs(block)) ** 2 / np.mean(block**2) * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = shapes[np.argmin((table - target) ** 2)]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def slow_half(y: np.ndarray) -> np.ndarray:
    """MATLAB's imresize(y, 0.5): Keys' cubic, a = −0.5, stretched by 2, borders mirrored."""
    for axis in (0, 1):
        n = y.shape[axis]
        matrix = np.zeros((n // 2, n))
        for i in range(n // 2):
            taps = np.arange(2 * i - 3, 2 * i + 5)
            x = np.abs(taps - (2 * i + 0.5)) / 2
            near = 1.5 * x**3 - 2.5 * x**2 + 1
            weights = np.where(x <= 1, near, np.where(x <= 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0))
            mirrored = np.where(taps < 0, -1 - taps, np.where(taps >= n, 2 * n - 1 - taps, taps))
            np.add.at(matrix[i], mirrored, weights / weights.sum())
        y = np.tensordot(matrix, y, axes=(1, axis)) if axis == 0 else np.tensordot(y, matrix, axes=(1, 1))
    return y


@pytest.mark.parametrize("size", [(96, 192), (200, 300), (288, 100)])
def test_equals_the_algorithm_written_out(size):
    picture, parameters = photo_like(*size), made_up_parameters()
    # the best shape is picked from a table: both pick the same, and the rest is float64
    assert niqe(picture, parameters, crop_border=0) == pytest.approx(slow_niqe(picture, parameters), rel=1e-8)


def test_equals_it_with_the_published_parameters(data_root):
    parameters = NIQEParameters.load(data_root / "weights" / "niqe_pris_params.npz")
    butterfly = read_image(list_images(data_root / "eval" / "Set5" / "HR")[2])
    assert niqe(butterfly, parameters, crop_border=0) == pytest.approx(slow_niqe(butterfly, parameters), rel=1e-8)


@given(seed=seeds, spread=st.floats(0.1, 5))
def test_finds_the_shape_of_a_gaussian_and_of_a_laplacian(seed, spread):
    gaussian = spread * normal(seed, 1, 300, 300)
    uniform = torch.rand(1, 300, 300, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5
    laplacian = -spread * uniform.sign() * torch.log1p(-2 * uniform.abs())
    for sample, want in ((gaussian, 2), (laplacian, 1)):
        shape, left, right = fit_aggd(sample)
        assert shape.item() == pytest.approx(want, rel=0.05)  # 90,000 values give the moments to 1 %
        assert left.item() == pytest.approx(right.item(), rel=0.05)


def test_the_border_is_cut_before_the_blocks_are_laid():
    picture, parameters = photo_like(204, 208), made_up_parameters()
    assert niqe(picture, parameters, crop_border=4) == niqe(picture[:, 4:-4, 4:-4], parameters, crop_border=0)


@pytest.mark.parametrize("size", [(1, 1), (95, 400), (191, 191), (96, 96)])
def test_a_picture_of_fewer_than_two_blocks_has_none(size):
    assert niqe(photo_like(*size), made_up_parameters(), crop_border=0) is None


def test_a_flat_picture_has_none_and_a_broken_one_has_nan():
    flat = torch.full((3, 200, 200), 0.5)
    assert niqe(flat, made_up_parameters(), crop_border=0) is None
    flat[0, 0, 0] = torch.nan
    assert math.isnan(niqe(flat, made_up_parameters(), crop_border=0) or 0)
    assert niqe(flat, made_up_parameters(), crop_border=100) is None


def test_ranks_sharp_below_bicubic_below_noisy_on_set5(data_root):
    parameters = NIQEParameters.load(data_root / "weights" / "niqe_pris_params.npz")
    means = torch.zeros(3, dtype=torch.float64)
    folders = (data_root / "eval" / "Set5" / name for name in ("HR", "LRx4"))
    for hr_path, lr_path in zip(*map(list_images, folders), strict=True):
        hr, lr = read_image(hr_path), read_image(lr_path)
        noisy = hr + torch.randn(hr.shape, generator=torch.Generator().manual_seed(0)) * 25 / 255
        bicubic = resize_bicubic(lr[None], (hr.shape[1], hr.shape[2]))[0]
        means += torch.tensor([niqe(round_to_8bit(x), parameters, crop_border=0) for x in (hr, bicubic, noisy)]) / 5
    assert means.tolist() == pytest.approx([5.1947, 8.4168, 13.2422], abs=0.01)  # measured here; noise may differ by platform


def test_a_wrong_parameters_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"gone\.npz: no such file; set niqe_params"):
        NIQEParameters.load(tmp_path / "gone.npz")
    (tmp_path / "text.npz").write_text("text")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.save(tmp_path / "bare.npy", np.zeros(3))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:100])
    for name in ("text.npz", "other.npz", "bare.npy", "cut.npz"):
        with pytest.raises(WeightsError, match=name):
            NIQEParameters.load(tmp_path / name)
    np.savez(tmp_path / "small.npz", mu_pris_param=np.zeros((1, 18)), cov_pris_param=np.eye(36), gaussian_window=np.eye(7))
    with pytest.raises(WeightsError, match=r"mu_pris_param is \[1, 18\]; wanted \[1, 36\]"):
        NIQEParameters.load(tmp_path / "small.npz")
