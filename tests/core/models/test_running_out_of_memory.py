"""Where memory runs out all the same, that one call is done again in smaller tiles, and no picture changes."""

import gc
import math
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.backbones.cuda_graphs import Evaluations
from linearsr.core.conformance import close
from linearsr.core.errors import ShapeError
from linearsr.core.models.memory_planner import MemoryPlanner
from linearsr.core.models.out_of_memory import ran_out, until_it_fits
from linearsr.core.planning.tiles import Tiles
from tests.core.models.models_in_tiles import STEPS, TOLERANCE, given_words, models_in, picture, restored


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return models_in(tmp_path_factory.mktemp("taesd"))


class RunsOut:
    """A function that raises at the given calls, after it has done its work."""

    def __init__(self, function, at, error=torch.OutOfMemoryError):
        self.function, self.at, self.error, self.calls = function, at, error, 0

    def __call__(self, *given, **named):
        self.calls += 1
        out = self.function(*given, **named)
        if self.calls - 1 in self.at:
            raise self.error("DefaultCPUAllocator: can't allocate memory")
        return out


@pytest.mark.parametrize(("name", "error"), [("plain", torch.OutOfMemoryError), ("experts", RuntimeError)])
@settings(max_examples=3)
@given(at=st.integers(0, STEPS - 1))
def test_memory_that_runs_out_at_a_step_costs_one_evaluation_and_halves_the_tile(models, name, error, at):
    model, planner = models[name], MemoryPlanner(1)
    whole, runs_out = restored(model, picture(), planner), RunsOut(model.denoiser.forward, [at], error)
    model.denoiser.forward = runs_out
    try:
        with pytest.warns(UserWarning, match="goes on from there in tiles of 32 tokens"):
            got = restored(model, picture(), planner)
    finally:
        del model.denoiser.forward
    close("after it ran out", got, whole, TOLERANCE[torch.float32])
    assert runs_out.calls == STEPS + 1
    assert Tiles.of(model) == Tiles()
    assert planner.begin(model, picture(), STEPS, given_words(model)).tiles == Tiles(32)
    assert planner.begin(model, picture(size=(39, 36)), STEPS, given_words(model)).tiles == Tiles()


def test_decoding_that_runs_out_goes_on_in_tiles_and_twice_is_a_quarter(models):
    model, planner = models["taesd"], MemoryPlanner(1)
    whole, runs_out = restored(model, picture(size=(80, 80)), planner), RunsOut(model.autoencoder.decode, [0, 1])
    model.autoencoder.decode = runs_out
    try:
        with pytest.warns(UserWarning, match="decoding .* goes on from there in tiles of") as said:
            got = restored(model, picture(size=(80, 80)), planner)
    finally:
        del model.autoencoder.decode
    close("decoded in tiles", got, whole, TOLERANCE[torch.float32])
    assert ["256 pixels: " in str(each.message) for each in said] == [True, False]
    assert "decoding in tiles of 256 pixels; it goes on from there in tiles of 128 pixels" in str(said[1].message)


def test_below_the_smallest_tile_it_is_an_error_and_the_model_is_as_before(models, recwarn):
    model, planner = models["plain"], MemoryPlanner(1)
    restored(model, picture(), planner)
    model.denoiser.forward = RunsOut(model.denoiser.forward, range(100))
    try:
        with pytest.raises(
            ShapeError, match=r"memory ran out.*tiles of 16 tokens, and there is no smaller one.*fewer or smaller"
        ):
            restored(model, picture(), planner)
    finally:
        del model.denoiser.forward
    assert Tiles.of(model) == Tiles()
    assert len(recwarn) == math.log2(32 / 16) + 1


def test_without_a_limit_memory_that_runs_out_is_torchs_own_error(models):
    model = models["plain"]
    model.denoiser.forward = RunsOut(model.denoiser.forward, [1])
    try:
        with pytest.raises(torch.OutOfMemoryError):
            restored(model, picture())
    finally:
        del model.denoiser.forward


def test_nothing_of_the_failed_work_is_alive_when_it_is_tried_again():
    made, alive = [], []

    def work():
        tensor = torch.ones(3)
        made.append(weakref.ref(tensor))
        if len(made) == 1:
            torch.empty(2**50)
        return tensor

    gc.disable()  # a cycle would be collected in time, by chance
    try:
        until_it_fits(work, lambda said: alive.append(made[0]()))
    finally:
        gc.enable()
    assert alive == [None]


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    assert ran_out(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not ran_out(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="do not match"):
        until_it_fits(lambda: (_ for _ in ()).throw(RuntimeError("do not match")), pytest.fail)


def test_recordings_are_given_up_before_tiles_are_cut(models):
    """They keep the memory of whole pictures."""
    model, planner, lr = models["plain"], MemoryPlanner(1), picture()
    model.denoiser.recorded = Evaluations()
    model.denoiser.recorded._recordings["a shape"] = None
    try:
        with planner.begin(model, lr, STEPS, None) as fit:
            work = RunsOut(lambda: fit.tiles, at=[0])
            assert fit.denoise(work) == Tiles()
        assert (work.calls, len(model.denoiser.recorded)) == (2, 0)
    finally:
        model.denoiser.recorded = None
