"""A learned router starts as a partition by log-SNR, and can leave it picture by picture."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.randomness import generator
from linearsr.core.registries import ROUTERS
from linearsr.experts import LearnedRouter, SNRRouter
from linearsr.experts.picture_features import FEATURES, picture_features
from tests.strategies import boundary_lists, normal, seeds, time_lists

NEAR = {torch.float64: 1e-9, torch.float32: 1e-5}
"""In t. λ and its multiples are rounded; they rise with t by no less than 4, and reach about 100."""
ROUNDING = 1e-6
"""Of weights, with a gate in float32: products of another batch size."""


def stirred(seed=0, **options):
    """As after some training: no layer is at zero."""
    router = LearnedRouter(**options)
    with torch.no_grad():
        for parameter in router.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator(seed)), alpha=0.3)
    return router


def times(ts, dtype=torch.float64):
    return torch.tensor(ts, dtype=dtype)


@given(boundary_lists, time_lists, seeds, st.sampled_from(list(NEAR)))
def test_it_starts_as_the_partition_of_its_boundaries_whatever_the_picture(boundaries, ts, seed, dtype):
    router, t = LearnedRouter(boundaries, hidden=4), times([0.0, 1.0, *boundaries, *ts], dtype)
    away = ((t[:, None] - times(boundaries, dtype)).abs() > NEAR[dtype]).all(dim=1)
    away[: 2 + len(boundaries)] = True  # on a boundary both weights are one number, and the noisier expert has it
    served = router.route(t, normal(seed, len(t), FEATURES))
    assert torch.equal(served[away], SNRRouter(boundaries).route(t)[away])


def test_weights_cross_at_the_boundaries_and_only_there():
    router = LearnedRouter()
    at = times(router.boundaries)
    weights = router.weights(at, torch.zeros(3, FEATURES)).detach()
    below, above = weights[range(3), range(3)], weights[range(3), range(1, 4)]
    assert torch.equal(below, above)
    assert bool((below > 0.4).all())


@given(boundary_lists, time_lists, seeds)
def test_weights_are_shares_and_the_largest_one_serves(boundaries, ts, seed):
    router, t = stirred(seed, boundaries=boundaries, hidden=4), times([0.0, 1.0, *ts])
    features = normal(seed, len(t), FEATURES)
    weights = router.weights(t, features)
    assert weights.shape == (len(t), router.num_experts)
    assert bool((weights >= 0).all())
    torch.testing.assert_close(weights.sum(dim=1), torch.ones_like(t))
    assert torch.equal(weights.gather(1, router.route(t, features)[:, None])[:, 0], weights.amax(dim=1))


@given(time_lists, seeds)
def test_a_batch_in_another_order_has_its_weights_in_that_order(ts, seed):
    router, t = stirred(seed), times(ts)
    features = normal(seed, len(t), FEATURES)
    order = torch.randperm(len(t), generator=generator(seed))
    torch.testing.assert_close(
        router.weights(t[order], features[order]), router.weights(t, features)[order], rtol=0, atol=ROUNDING
    )


def test_gradients_are_finite_at_the_ends_of_time_and_reach_the_whole_gate():
    router, t = stirred(), times([0.0, 0.2, 0.5, 0.9, 1.0])
    router.weights(t, normal(0, 5, FEATURES))[:, 1].sum().backward()
    assert all(bool(p.grad.isfinite().all()) and bool(p.grad.any()) for p in router.parameters())


def test_as_built_the_last_layer_learns_first():
    router = LearnedRouter()
    router.weights(times([0.2, 0.9]), normal(0, 2, FEATURES))[:, 1].sum().backward()
    assert bool(router.gate[-1].weight.grad.any())
    assert bool(router.gate[-1].bias.grad.any())


def test_it_learns_to_part_flat_from_detailed_pictures_of_one_noise_level():
    torch.manual_seed(0)
    router = LearnedRouter([0.5])
    detailed = normal(0, 16, 3, 8, 8) / 3
    features = router.features(torch.cat([detailed, detailed.mean((-2, -1), keepdim=True).expand_as(detailed)]))
    t, wanted = torch.full((32,), 0.5), torch.arange(32) // 16
    optimizer = torch.optim.Adam(router.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(router.weights(t, features).log(), wanted).backward()
        optimizer.step()
    assert torch.equal(router.route(t, features), wanted)
    assert router.route(torch.tensor([0.01, 0.99]), features[[0, -1]]).tolist() == [0, 1]  # far away the prior still decides


def test_the_builder_supplies_the_log_snr_and_any_decreasing_one_keeps_the_partition():
    router = ROUTERS.build({"type": "LearnedRouter", "boundaries": [0.2, 0.7]}, log_snr=lambda t: 5 - 9 * t)
    t = torch.linspace(0, 1, 11, dtype=torch.float64)[[0, 1, 3, 6, 8, 10]]
    assert router.route(t, normal(0, 6, FEATURES)).tolist() == [0, 0, 1, 1, 2, 2]
    plain = LearnedRouter([0.2, 0.7])
    assert not torch.allclose(router.weights(t, normal(0, 6, FEATURES)), plain.weights(t, normal(0, 6, FEATURES)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_of_a_16_bit_model_are_in_the_type_of_t_and_cut_as_sharply(dtype):
    router = LearnedRouter().to(torch.bfloat16)
    at = times(router.boundaries, dtype)
    below = at - 1e-4  # bfloat16 has no number in between
    t = torch.cat([below, at])
    with torch.autocast("cpu", torch.bfloat16):
        assert router.weights(t, normal(0, 6, FEATURES)).dtype == dtype
        assert router.route(t, normal(0, 6, FEATURES).bfloat16()).tolist() == [0, 1, 2, 1, 2, 3]


def test_autocast_does_not_round_the_gate():
    router, t, features = stirred(), times([0.1, 0.5, 0.9]), normal(0, 3, FEATURES)
    with torch.autocast("cpu", torch.bfloat16):
        under = router.weights(t, features)
    assert torch.equal(under, router.weights(t, features))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (None, "missing"),
        (torch.zeros(3, FEATURES), r"\[3, 12\]"),
        (torch.zeros(2, 3), r"\[2, 3\]"),
        (torch.full((2, FEATURES), math.nan), r"\[2, 12\], finite: False"),
    ],
)
def test_features_that_do_not_belong_to_the_times_are_refused(features, message):
    router = LearnedRouter()
    for ask in (router.route, router.weights):
        with pytest.raises(ShapeError, match=rf"features are {message}.*from router\.features\(lr\)"):
            ask(times([0.1, 0.9]), features)


def test_weights_refuse_the_times_that_route_refuses():
    router = LearnedRouter()
    for t in (times([math.nan]), times([1.1]), torch.ones(1, dtype=torch.bfloat16)):
        with pytest.raises(ShapeError, match=r"^t (holds|is)"):
            router.weights(t, torch.zeros(1, FEATURES))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boundaries": [0.6, 0.5]}, r"router\.boundaries"),
        ({"sharpness": 0}, r"router\.sharpness"),
        ({"sharpness": math.nan}, r"router\.sharpness"),
        ({"sharpness": math.inf}, r"router\.sharpness"),
        ({"hidden": 0}, r"router\.hidden"),
        ({"hidden": 2.5}, r"router\.hidden"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        LearnedRouter(**options)


@given(st.integers(1, 5), st.integers(1, 5), seeds)
def test_features_are_each_picture_s_own_at_any_size(height, width, seed):
    lr = normal(seed, 3, 3, height, width, dtype=torch.float32)
    together = picture_features(lr)
    assert together.shape == (3, FEATURES)
    assert bool(together.isfinite().all())
    torch.testing.assert_close(torch.cat([picture_features(one) for one in lr.split(1)]), together)


def test_features_are_mean_contrast_and_steps_per_channel():
    stripes = torch.tensor([-1.0, 1.0]).repeat(3, 4, 2)[None] * torch.tensor([1.0, 0.5, 0.0]).reshape(3, 1, 1)
    mean, std, down = [0, 0, 0], [1, 0.5, 0], [0, 0, 0]
    right = [1.5, 0.75, 0]  # three of four pixels have a step of 2, 1 and 0 to their right
    assert picture_features(stripes.bfloat16()).tolist() == [mean + std + down + right]
