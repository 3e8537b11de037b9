"""The check of routers: names the law that is broken, and leaves alone what keeps them all."""

import pytest
import torch

from linearsr.core.errors import ShapeError
from linearsr.experts import FunctionRouter, LearnedRouter, SNRRouter
from linearsr.experts.conformance import check_router
from tests.experts import broken_routers as broken

ONE_EXPERT = "has one expert"
WEIGHTS = "weights are [B, K]"


@pytest.mark.parametrize(
    ("router", "law"),
    [
        (broken.LowerExpertOnBoundaries(), "goes to the noisier expert"),
        (broken.TakesAnything(), "NaN"),
        (broken.TakesAnything(), "below 0"),
        (broken.TakesAnything(), "bfloat16"),
        (broken.TakesAnything(), "float16"),
        (broken.RanksTheBatch(), "nothing else in the batch"),
        (broken.UpsideDown(), "never go to a lower"),
        (broken.FromOne(), ONE_EXPERT),
        (broken.Int32(), ONE_EXPERT),
        (broken.BackAndForth([0.5]), "at most K − 1 times"),
        (broken.CutsWhereItAlwaysDid(), "shifting times and boundaries"),
        (broken.Miscounted(), "boundaries ascend"),
        (broken.IntervalsInPercent(), "interval holds its times"),
        (broken.Float32Boundaries(), "goes to the noisier expert"),
        (broken.Featureless(), "features are [B, F]"),
        (broken.ComparesPictures(), "features are [B, F]"),
        (broken.FlatFeatures(), "features are [B, F]"),
        (broken.RoutesByTimeAlone(), "largest weight serves"),
        (broken.WeighsLogits(), WEIGHTS),
        (broken.Doubled(), WEIGHTS),
        (broken.SixteenBitWeights(), WEIGHTS),
        (broken.Detached(), "finite gradient that is not zero"),
        (broken.IgnoresThePicture(), "finite gradient that is not zero"),
        (broken.NormalisesTheBatch(), "does not depend on its batch"),
        (broken.NoModule(), "builds a torch module"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else case.split()[0],
)
def test_the_check_names_the_law_that_a_broken_router_breaks(router, law):
    assert any(law in finding.law for finding in check_router(router).failed), str(check_router(router))


class ByContrast:
    """Somebody's own: no boundaries, no interval, no weights; busy pictures go up one expert."""

    boundaries, depends_on_time_only, num_experts = (), False, 3

    def features(self, lr_pm1):
        return lr_pm1.flatten(1).std(dim=1, keepdim=True)

    def route(self, t, features=None):
        if t.dtype not in (torch.float32, torch.float64) or not bool(((t >= 0) & (t <= 1)).all()):
            raise ShapeError("these are no times")
        return (t >= 0.5).long() + (features[:, 0] > 0.58).long()  # the mean contrast of the check's pictures


def test_a_router_of_someone_else_passes_by_what_it_declares():
    report = check_router(ByContrast()).require()
    assert "3 of 3 experts used" in str(report)
    assert not any("noisier" in finding.law or "weights" in finding.law for finding in report.findings)


@pytest.mark.parametrize("boundaries", [[], [0.5], [1e-12, 0.5, 1 - 1e-12], [0.5, 0.5 + 2**-40]])
def test_any_partition_conforms(boundaries):
    check_router(SNRRouter(boundaries)).require()


def test_a_router_with_one_expert_conforms_although_it_decides_nothing():
    check_router(FunctionRouter(lambda t: (0 * t).long(), 1)).require()


def test_the_check_leaves_a_learned_router_as_it_was():
    router = LearnedRouter()
    before = {name: value.clone() for name, value in router.state_dict().items()}
    check_router(router)
    assert all(value.equal(before[name]) for name, value in router.state_dict().items())
    assert all(parameter.grad is None for parameter in router.parameters())
