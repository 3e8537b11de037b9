"""Large pictures: tiles are chosen by what is foreseen, halved where memory runs out, and change no picture."""

import gc
import math
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.backbones.cuda_graphs import Evaluations
from linearsr.core.config import load_config
from linearsr.core.conformance import close
from linearsr.core.costs import peak_bytes
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.models import build_model
from linearsr.core.models.memory_planner import GIB, SAFE, MemoryPlanner, _rehearse, rounded
from linearsr.core.models.out_of_memory import ran_out, until_it_fits
from linearsr.core.planning.free_memory import _available, _left_in_group, free_bytes
from linearsr.core.planning.tiles import Choice, Tiles, area
from linearsr.core.planning.weights import weight_bytes
from tests.core.autoencoders.small_networks import write_taesd
from tests.core.planning.test_rehearsal import MODELS, tiny
from tests.shipped import ROOT
from tests.strategies import normal

SIZE = 40, 36
STEPS = 3
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
"""Sums over tokens in another order, as of tiles."""
KINDS = ("plain", "experts", "two answers a step")


def moved(model):
    """With weights that say something: an untrained denoiser starts at 0."""
    draw = torch.Generator().manual_seed(0)
    for parameter in model.denoiser.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    return model.eval()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    taesd = {"type": "TinyAutoencoder", **write_taesd(tmp_path_factory.mktemp("taesd"), channels=8)}
    stem = {"lr_stem": {"type": "ConvStem", "width": 8, "depth": 2}}
    described = {name: MODELS[name] for name in KINDS} | {"taesd": tiny(autoencoder=taesd, denoiser=stem)}
    return {name: moved(build_model(model)) for name, model in described.items()}


def picture(dtype=torch.float32, size=SIZE):
    return normal(1, 1, 3, *size, dtype=dtype).sigmoid()


def needs(model, lr=None):
    """Tiles -> the least limit in bytes, of every tile that can be tried."""
    lr = picture() if lr is None else lr
    size = tuple(lr.shape[-2:])
    choice, rehearse = Choice.of(model, size), _rehearse(model, lr, size, STEPS, given_words(model))
    tried = [Tiles(side, pieces) for side in choice.denoiser for pieces in choice.autoencoder]
    return {tiles: rehearse(tiles).total / SAFE + weight_bytes(model) + lr.nbytes for tiles in tried}


def given_words(model):
    return None if model.guidance is None else model.guidance(picture())


def restored(model, lr, planner=None):
    before = model.fitting
    model.fitting = planner or before
    try:
        return model.restore(lr, STEPS, [0])
    finally:
        model.fitting = before


@pytest.mark.parametrize("name", [*KINDS, "taesd"])
def test_a_limit_makes_tiles_and_the_picture_stays_what_it_is_whole(models, name):
    model, lr = models[name], picture(size=(96, 80) if name == "taesd" else SIZE)
    foreseen = needs(model, lr)
    whole, smallest = foreseen[Tiles()], min(foreseen.values())
    assert smallest < whole
    planner = MemoryPlanner((whole - 1) / GIB)
    assert planner.begin(model, lr, STEPS, given_words(model)).tiles != Tiles()
    close("in tiles", restored(model, lr, planner), restored(model, lr), TOLERANCE[torch.float32])
    assert Tiles.of(model) == Tiles()


def test_in_double_precision_too(models):
    model = models["plain"].double()
    try:
        lr = picture(torch.float64)
        planner = MemoryPlanner((needs(model, lr)[Tiles()] - 1) / GIB)
        close("in tiles", restored(model, lr, planner), restored(model, lr), TOLERANCE[torch.float64])
    finally:
        model.float()


@pytest.mark.parametrize("name", ["plain", "taesd"])
@pytest.mark.parametrize("share", [1.0, 0.0])
def test_what_is_measured_is_within_the_limit_and_most_of_it(models, name, share):
    """share: of the way from the smallest limit to the whole picture's."""
    model, lr = models[name], picture(size=(48, 48))
    foreseen = needs(model, lr)
    least, most = min(foreseen.values()), foreseen[Tiles()]
    limit = least + share * (most - least)
    planner = MemoryPlanner((limit + 1) / GIB)
    planner.begin(model, lr, STEPS, None)  # rehearsed before it is measured
    room = limit - weight_bytes(model) - lr.nbytes
    assert SAFE**2 * room < peak_bytes(lambda: restored(model, lr, planner)) < room  # 15 % either way: docs/inspect.md


@pytest.fixture(scope="module")
def planned(models):
    """limit -> tiles and what they need, of one planner whose limit is changed, so that everything is rehearsed once."""
    planner, model, foreseen = MemoryPlanner(1), models["taesd"], needs(models["taesd"])

    def plan(share):
        planner.limit = share * foreseen[Tiles()]
        tiles = planner.begin(model, picture(), STEPS, None).tiles
        return tiles, foreseen[tiles] / foreseen[Tiles()]

    return plan


@settings(max_examples=40)
@given(limits=st.tuples(st.floats(0.01, 1.5), st.floats(0.01, 1.5)).map(sorted))
def test_no_plan_exceeds_its_limit_and_more_memory_never_gives_smaller_tiles(planned, limits):
    plans = []
    for share in limits:
        try:
            tiles, need = planned(share)
        except ShapeError:
            plans.append((0, 0))
            continue
        assert need <= share
        plans.append((area(tiles.denoiser), area(tiles.autoencoder)))
    assert all(less <= more for less, more in zip(*plans, strict=True))


def test_a_picture_that_is_nowhere_larger_than_one_that_fits_is_not_rehearsed(models, monkeypatch):
    planner = MemoryPlanner(1)
    planner.begin(models["plain"], picture(), STEPS, None)
    monkeypatch.setattr("linearsr.core.models.memory_planner.shadow_copy", lambda *_: pytest.fail("rehearsed"))
    planner.begin(models["plain"], picture(), STEPS, None)
    assert planner.begin(models["plain"], picture(size=(33, 36)), STEPS, None).tiles == Tiles()


def test_what_fits_in_no_tile_is_refused_before_the_first_step(models):
    with pytest.raises(ShapeError, match=r"\[1, 3, 40, 36\] do not fit.*as set.*smallest tiles.*raise model\.memory_gib"):
        MemoryPlanner(1e-3).begin(models["plain"], picture(), STEPS, None)


def test_a_denoiser_that_cannot_be_cut_is_refused_with_the_reason():
    model = build_model(MODELS["softmax"]).eval()
    with pytest.raises(ShapeError, match=r"do not fit.*not cut.*SoftmaxAttention is not additive"):
        restored(model, picture(), MemoryPlanner(1e-3))


@pytest.mark.parametrize("value", [0, -1, "all", float("nan"), True])
def test_an_impossible_limit_is_refused_by_its_key(value):
    with pytest.raises(ConfigError, match=r"model\.memory_gib"):
        build_model(tiny(memory_gib=value))


def test_the_limit_is_an_option_of_a_config():
    options = ["model.memory_gib=device"]
    cfg = load_config(ROOT / "configs" / "quickstart_x4.py", options)
    assert isinstance(build_model(cfg).fitting, MemoryPlanner)
    with pytest.raises(ConfigError, match=r"did you mean 'memory_gib'"):
        load_config(ROOT / "configs" / "quickstart_x4.py", ["model.memory_gb=1"])


def test_what_the_device_has_free_is_enough_for_a_small_picture(models):
    planner = MemoryPlanner("device")
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert planner.begin(models["plain"], picture(), STEPS, None).tiles == Tiles()


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


def test_free_memory_is_what_linux_and_the_container_leave(tmp_path):
    assert 0 < free_bytes(torch.device("cpu")) < 2**50
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:       7 kB\n")
    assert _available(tmp_path / "meminfo") == 7 * 1024
    assert _left_in_group(tmp_path) == math.inf
    for limit, left in (("max", math.inf), ("100", 60)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("40\n")
        assert _left_in_group(tmp_path) == left


@given(st.integers(1, 10000))
def test_law_a_side_is_planned_for_as_it_is_or_a_sixteenth_larger(side):
    assert side <= rounded(side) <= side * 17 / 16
    assert len({rounded(other) for other in range(side, side + side // 16 + 1)}) <= 3


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
