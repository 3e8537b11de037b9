"""What is prepared once need not be computed at every step, and changes nothing."""

import pytest
import torch

from linearsr.core.costs import flops
from linearsr.core.registries import SOLVERS
from tests.core.models.guided_models import DENOISER, MIXTURE, model
from tests.strategies import normal

STEPS = 20
ROUNDING = 1e-5
"""Of the largest value, over 20 steps of float32: stem and patch embedding are summed in two parts, each step carries it on."""


def sampled(method, lr, *, prepared: bool):
    """Latents after 20 steps; unprepared, every evaluation is given picture and guidance."""
    guidance = method._look(lr, lr)
    lr_pm1, times = 2 * lr - 1, method.time_grid.times(STEPS)
    z1 = normal(1, len(lr), *method._latent_shape(lr_pm1), dtype=torch.float32)
    if prepared:
        follow = method._prepared_velocity(lr_pm1, guidance, times, method.memory)
    else:
        follow = lambda z, t: method.velocity(z, t, lr_pm1, guidance)  # noqa: E731
    return method.solver.solve(follow, z1, times)


@pytest.mark.parametrize("solver", SOLVERS.own())
@pytest.mark.parametrize("denoiser", [DENOISER, MIXTURE], ids=["dit", "experts"])
@torch.no_grad()
def test_prepared_sampling_takes_fewer_flops_and_gives_the_same(denoiser, solver):
    method = model(denoiser=denoiser, solver={"type": solver}).eval()
    lr = normal(0, 2, 3, 9, 7, dtype=torch.float32).sigmoid()
    results = {kind: sampled(method, lr, prepared=kind) for kind in (True, False)}
    assert (results[True] - results[False]).abs().max() <= ROUNDING * results[False].abs().max()
    costs = {kind: flops(lambda: sampled(method, lr, prepared=kind)) for kind in (True, False)}  # noqa: B023
    assert costs[True] < costs[False]


@torch.no_grad()
def test_what_is_saved_is_all_that_does_not_change_over_the_steps():
    """Each evaluation is spared stem, guidance projection, its keys and values, and the times' modulation but for one each."""
    method = model().eval()
    lr = normal(0, 1, 3, 8, 8, dtype=torch.float32).sigmoid()
    guidance, denoiser = method._look(lr, lr), method.denoiser
    once = flops(lambda: denoiser.prepare(2 * lr - 1, guidance))
    saved = flops(lambda: sampled(method, lr, prepared=False)) - flops(lambda: sampled(method, lr, prepared=True))
    assert saved >= (STEPS - 1) * once > 0
