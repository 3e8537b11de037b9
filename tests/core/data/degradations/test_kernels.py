"""Laws of the blur kernels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import j1

from linearsr.core.data.degradations.kernels import gaussian_kernel, plateau_kernel, sinc_kernel
from linearsr.core.data.degradations.pixel_steps import blur
from linearsr.core.errors import ConfigError

sizes = st.sampled_from([3, 7, 9, 21])
sigmas = st.tuples(st.floats(0.2, 3.0), st.floats(0.2, 3.0))
angles = st.floats(-math.pi, math.pi)
betas = st.floats(0.5, 4.0)
shapes = st.sampled_from([gaussian_kernel, plateau_kernel])


@given(shapes, sizes, sigmas, angles, betas)
def test_a_kernel_sums_to_one_and_is_symmetric_about_its_centre(shape, size, sigma, angle, beta) -> None:
    kernel = shape(size, sigma, angle, beta)
    assert kernel.shape == (size, size)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)  # float32 values of at most 441 pixels
    assert np.allclose(kernel, kernel[::-1, ::-1], atol=1e-7)
    assert kernel.min() >= 0
    assert kernel[size // 2, size // 2] == kernel.max()


@given(shapes, sizes, sigmas, betas)
def test_a_quarter_turn_swaps_the_two_sigmas(shape, size, sigma, beta) -> None:
    turned = shape(size, sigma, math.pi / 2, beta)
    assert np.allclose(turned, shape(size, sigma[::-1], 0.0, beta), atol=1e-6)


@given(shapes, sizes, st.floats(0.2, 3.0), angles, betas)
def test_an_isotropic_kernel_has_no_direction(shape, size, sigma, angle, beta) -> None:
    assert np.allclose(shape(size, (sigma, sigma), angle, beta), shape(size, (sigma, sigma), 0.0, beta), atol=1e-5)


def test_the_first_sigma_lies_along_the_angle() -> None:
    flat = gaussian_kernel(21, (3.0, 0.5))  # along the columns
    assert flat[10].sum() > 0.75
    assert flat[:, 10].sum() < 0.2


def test_a_positive_angle_turns_from_the_columns_towards_the_rows() -> None:
    turned = gaussian_kernel(21, (3.0, 0.5), math.pi / 4)
    assert turned[13, 13] > 100 * turned[13, 7]


@given(sizes, sigmas, angles, betas)
def test_kernels_are_the_papers_formulas_of_the_covariance(size, sigma, angle, beta) -> None:
    """Real-ESRGAN, §3.2, by matrices: Σ = U diag(σ²) Uᵀ; exp(−½ (xᵀΣ⁻¹x)^β) and 1 / (1 + (xᵀΣ⁻¹x)^β)."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag(np.square(sigma)) @ turn.T)
    side = np.arange(size) - size // 2
    x = np.stack(np.meshgrid(side, side), -1)  # columns, rows
    distance = np.einsum("rci,ij,rcj->rc", x, inverse, x)
    for shape, values in ((gaussian_kernel, np.exp(-0.5 * distance**beta)), (plateau_kernel, 1 / (1 + distance**beta))):
        assert np.allclose(shape(size, sigma, angle, beta), values / values.sum(), atol=1e-6)  # float32, values ≤ 1


def test_a_gaussian_has_the_variance_of_its_sigma() -> None:
    kernel = gaussian_kernel(21, (2.0, 1.0))
    side = np.arange(21) - 10
    assert (kernel.sum(0) * side**2).sum() == pytest.approx(4, rel=0.01)
    assert (kernel.sum(1) * side**2).sum() == pytest.approx(1, rel=0.01)


@given(sizes, st.floats(0.6, math.pi))
def test_a_sinc_sums_to_one_and_rings(size, cutoff) -> None:
    kernel = sinc_kernel(size, cutoff)
    assert kernel.sum() == pytest.approx(1, abs=1e-4)  # positive and negative lobes
    if size == 21:
        assert kernel.min() < 0


def test_a_sinc_is_scipys_bessel_function_over_the_radius() -> None:
    side = np.arange(21) - 10.0
    radius = np.hypot(side[:, None], side[None])
    radius[10, 10] = 1
    wanted = 2.0 * j1(2.0 * radius) / (2 * np.pi * radius)
    wanted[10, 10] = 2.0**2 / (4 * np.pi)
    assert np.allclose(sinc_kernel(21, 2.0), wanted / wanted.sum(), atol=1e-7)


@given(shapes, sizes, sigmas, angles, betas, st.floats(0, 1), st.integers(1, 30), st.integers(1, 30))
def test_a_constant_picture_stays_constant_under_blur(shape, size, sigma, angle, beta, level, height, width) -> None:
    picture = np.full((height, width, 3), level, np.float32)
    assert np.allclose(blur(picture, shape(size, sigma, angle, beta)), level, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: gaussian_kernel(8, (1.0, 1.0)), "size of a blur kernel is 8"),
        (lambda: plateau_kernel(7, (0.0, 1.0)), r"sigma of a blur is \(0.0, 1.0\)"),
        (lambda: sinc_kernel(7, 4.0), "cutoff of a sinc kernel is 4.0"),
    ],
)
def test_what_makes_no_kernel_is_refused(make, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()
