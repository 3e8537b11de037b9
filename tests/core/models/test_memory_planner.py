"""Large pictures: of what they are said to need, a limit makes tiles; the picture stays what it is whole.

What is needed is a plain function of the tile here; whether the planner's own rehearsals are right is test_planned_memory.py's.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.config import load_config
from linearsr.core.conformance import close
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.models import build_model
from linearsr.core.models.memory_planner import GIB, SAFE, MemoryPlanner, rounded
from linearsr.core.planning.free_memory import _available, _left_in_group, free_bytes
from linearsr.core.planning.tiles import SMALLEST, Tiles, area
from linearsr.core.planning.weights import weight_bytes
from tests.core.models.models_in_tiles import (
    KINDS,
    SIZE,
    STEPS,
    TOLERANCE,
    by_area,
    given_words,
    models_in,
    picture,
    restored,
)
from tests.core.planning.test_rehearsal import MODELS, tiny
from tests.shipped import ROOT

BESIDE = 2**20
"""Bytes that every tile needs in `by_area`, besides those of its area."""
TOKEN, PIXEL = 1000, 20
"""Bytes of each."""
LARGE = 96, 80
"""LR pixels: 48×40 tokens and 384×320 pixels of "taesd", which has two tiles of either kind for them."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return models_in(tmp_path_factory.mktemp("taesd"))


def limited(model, lr, room, denoising=TOKEN, decoding=PIXEL):
    """A planner that has `room` bytes, besides weights and pictures, to plan with."""
    held = weight_bytes(model) + lr.nbytes
    return MemoryPlanner((held + room / SAFE) / GIB, by_area(denoising, decoding, BESIDE))


def planned(model, planner, size=SIZE):
    return planner.tiles(model, picture(size=size), STEPS, given_words(model))


@pytest.mark.parametrize(
    ("name", "dtype", "tiles"),
    [
        *((name, torch.float32, Tiles(16)) for name in KINDS),
        ("plain", torch.float64, Tiles(16)),
        ("taesd", torch.float32, Tiles(16, 128)),
    ],
)
def test_a_limit_makes_tiles_and_the_picture_stays_what_it_is_whole(models, name, dtype, tiles):
    model, lr = models[name].to(dtype), picture(dtype, LARGE if tiles.autoencoder else SIZE)
    try:
        room = BESIDE + max(TOKEN * area(tiles.denoiser), PIXEL * area(tiles.autoencoder or 0)) + 0.5
        planner = limited(model, lr, room, decoding=PIXEL if tiles.autoencoder else 0)
        assert planner.tiles(model, lr, STEPS, given_words(model)) == tiles
        close("in tiles", restored(model, lr, planner), restored(model, lr), TOLERANCE[dtype])
        assert Tiles.of(model) == Tiles()
    finally:
        model.float()


@pytest.mark.parametrize(
    ("room", "tiles"),
    [
        (384 * 320 * PIXEL, Tiles()),
        (384 * 320 * PIXEL - 1, Tiles(None, 256)),
        (48 * 40 * TOKEN, Tiles(None, 256)),
        (48 * 40 * TOKEN - 1, Tiles(32, 256)),
        (256 * 256 * PIXEL, Tiles(32, 256)),
        (256 * 256 * PIXEL - 1, Tiles(32, 128)),
        (32 * 32 * TOKEN, Tiles(32, 128)),
        (32 * 32 * TOKEN - 1, Tiles(16, 128)),
        (128 * 128 * PIXEL, Tiles(16, 128)),
    ],
)
def test_each_part_has_the_largest_tile_that_needs_no_more_than_there_is(models, room, tiles):
    planner = limited(models["taesd"], picture(size=LARGE), BESIDE + room + 0.5)
    assert planned(models["taesd"], planner, LARGE) == tiles


@settings(max_examples=40)
@given(
    rooms=st.tuples(st.integers(0, 4 * 10**6), st.integers(0, 4 * 10**6)).map(sorted),
    denoising=st.integers(1, 3000),
    decoding=st.integers(1, 50),
)
def test_no_plan_exceeds_its_limit_and_more_memory_never_gives_smaller_tiles(models, rooms, denoising, decoding):
    model, plans = models["taesd"], []
    need = by_area(denoising, decoding, BESIDE)(model, None, LARGE, STEPS, None)
    least = need(Tiles(SMALLEST, SMALLEST * model.autoencoder.factor)).total
    for room in rooms:
        planner = limited(model, picture(size=LARGE), room + BESIDE + 0.5, denoising, decoding)
        if room + BESIDE < least:
            with pytest.raises(ShapeError, match="do not fit"):
                planned(model, planner, LARGE)
            plans.append((0, 0))
            continue
        tiles = planned(model, planner, LARGE)
        assert need(tiles).total <= room + BESIDE
        plans.append((area(tiles.denoiser), area(tiles.autoencoder)))
    assert all(less <= more for less, more in zip(*plans, strict=True))


def test_a_picture_that_is_nowhere_larger_than_one_that_fits_is_not_rehearsed(models):
    asked = []

    def rehearsal(model, lr, size, *more):
        need = by_area(TOKEN, PIXEL)(model, lr, size, *more)
        return lambda tiles: asked.append((size, tiles)) or need(tiles)

    planner = MemoryPlanner(1, rehearsal)
    assert [planned(models["plain"], planner, size) for size in (SIZE, SIZE, (33, 36))] == [Tiles()] * 3
    assert asked == [(SIZE, Tiles())]
    planned(models["plain"], planner, (41, 36))
    assert asked[1:] == [((42, 36), Tiles())]


def test_what_fits_in_no_tile_is_refused_before_the_first_step(models):
    with pytest.raises(ShapeError, match=r"\[1, 3, 40, 36\] do not fit.*as set.*smallest tiles.*raise model\.memory_gib"):
        restored(models["plain"], picture(), limited(models["plain"], picture(), BESIDE))


def test_a_denoiser_that_cannot_be_cut_is_refused_with_the_reason():
    model = build_model(MODELS["softmax"]).eval()
    with pytest.raises(ShapeError, match=r"do not fit.*not cut.*SoftmaxAttention is not additive"):
        restored(model, picture(), limited(model, picture(), BESIDE))


def test_planned_tiles_are_those_of_restoring_and_without_a_limit_those_that_are_set(models):
    for model in (models["plain"], models["experts"]):
        assert model.planned_tiles(picture(), STEPS) == Tiles()
        planner = limited(model, picture(), BESIDE + TOKEN * 16**2 + 0.5, decoding=0)
        model.denoiser.tile, before = 24, model.memory
        try:
            assert model.planned_tiles(picture(), STEPS) == Tiles((24, 24))
            model.memory = planner
            given = given_words(model)
            assert model.planned_tiles(picture(), STEPS) == model.planned_tiles(picture(), STEPS, guidance=given) == Tiles(16)
        finally:
            model.denoiser.tile, model.memory = None, before
    with pytest.raises(ShapeError, match=r"wanted a float \[B, 3, h, w\]"):
        model.planned_tiles(picture()[0], STEPS)


@pytest.mark.parametrize("value", [0, -1, "all", float("nan"), True])
def test_an_impossible_limit_is_refused_by_its_key(value):
    with pytest.raises(ConfigError, match=r"model\.memory_gib"):
        build_model(tiny(memory_gib=value))


def test_the_limit_is_an_option_of_a_config():
    options = ["model.memory_gib=device"]
    cfg = load_config(ROOT / "configs" / "quickstart_x4.py", options)
    assert isinstance(build_model(cfg).memory, MemoryPlanner)
    with pytest.raises(ConfigError, match=r"did you mean 'memory_gib'"):
        load_config(ROOT / "configs" / "quickstart_x4.py", ["model.memory_gb=1"])


@pytest.mark.parametrize(("unloaded", "tiles"), [(True, Tiles()), (False, Tiles(32))])
def test_a_tagger_and_an_encoder_give_their_memory_back_before_a_picture_is_cut(models, monkeypatch, unloaded, tiles):
    model, held = models["plain"], [1]
    enough = (BESIDE + TOKEN * SIZE[0] * SIZE[1]) / SAFE
    monkeypatch.setattr("linearsr.core.models.memory_planner.free_bytes", lambda _: enough * (0.9 if held else 1.01))
    monkeypatch.setattr(model, "guidance", SimpleNamespace(unload=lambda: held.clear() if unloaded else None))
    planner = MemoryPlanner("device", by_area(TOKEN, PIXEL, BESIDE))
    assert planner.tiles(model, picture(), STEPS, None) == tiles
    held.append(1)
    assert MemoryPlanner(1, by_area(TOKEN, PIXEL, BESIDE)).tiles(model, picture(), STEPS, None) == Tiles()
    assert held


def test_what_the_device_has_free_is_enough_for_a_small_picture(models):
    planner = MemoryPlanner("device")
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert planner.begin(models["plain"], picture(), STEPS, None).tiles == Tiles()


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
