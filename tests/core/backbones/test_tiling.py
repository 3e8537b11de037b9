"""A picture in tiles is the picture whole: over sizes, tiles, attentions, and everything else that a denoiser is given."""

from functools import lru_cache
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from linearsr.core.backbones import ConvStem, GatedConvFeedForward, LinearDiT
from linearsr.core.backbones.tiling import Area, TokenBuffer, tile_shape
from linearsr.core.config import load_config
from linearsr.core.conformance import close
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.registries import ATTENTION, FEED_FORWARDS, STEMS
from linearsr.core.structures import GuidanceTokens
from tests.core.backbones.test_activation_checkpointing import mixture
from tests.core.backbones.test_linear_dit import dit, question
from tests.core.engine.distributed.models import small_model
from tests.strategies import normal, seeds

ADDITIVE = [name for name, cls in ATTENTION.own().items() if cls.additive is True]
QUICKSTART = Path(__file__).parents[3] / "configs" / "quickstart_x4.py"
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
"""Of the largest value: sums over tokens in another order (roundings of 6e-8 and 1e-16), through three blocks."""

sides = st.integers(1, 11)


@lru_cache(maxsize=256)
def model_of(attention, dtype, depth, patch_size, position_scale, stem_depth):
    stem = {"type": "ConvStem", "width": 8, "depth": stem_depth}
    return dit(
        dtype,
        depth=depth,
        attention={"type": attention},
        patch_size=patch_size,
        position_scale=position_scale,
        lr_stem=stem,
    )


@pytest.mark.parametrize("attention", ADDITIVE)
@settings(max_examples=8)
@given(
    dtype=st.sampled_from(list(TOLERANCE)),
    size=st.tuples(sides, sides),
    tile=st.tuples(st.integers(2, 6), st.integers(1, 6)),
    depth=st.integers(2, 3),
    patch_size=st.integers(1, 2),
    position_scale=st.sampled_from([None, 1.0]),
    stem_depth=st.integers(1, 3),
)
def test_tiled_is_untiled(attention, dtype, size, tile, depth, patch_size, position_scale, stem_depth):
    assume(size[0] * size[1] > tile[0] * tile[1])
    model = model_of(attention, dtype, depth, patch_size, position_scale, stem_depth)
    z, t, lr, words = question(batch=2, size=(size[0] * patch_size, size[1] * patch_size), dtype=dtype)
    with torch.no_grad():
        model.tile = None
        whole = model(z, t, lr, words)
        model.tile = tile
        close("tiled", model(z, t, None, None, prepared=model.prepare(lr, words, t)), whole, TOLERANCE[dtype])


def test_what_was_prepared_in_tiles_serves_whole_pictures_and_the_other_way_round():
    model, (z, t, lr, words) = dit(position_scale=1.0), question(size=(7, 5))
    with torch.no_grad():
        whole, prepared = model(z, t, lr, words), model.prepare(lr, words, t)
        close("tiled, prepared whole", tiled(model, 3)(z, t, None, None, prepared=prepared), whole, 1e-10)
        close("tiled, not prepared", model(z, t, lr, words), whole, 1e-10)
        prepared = model.prepare(lr, words, t)
    close("whole, prepared in tiles", tiled(model, None)(z, t, None, None, prepared=prepared), whole, 1e-10)


@given(size=st.tuples(st.integers(1, 90), st.integers(1, 90)), shape=st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_tiles_cover_every_token_once_and_none_is_a_sliver(size, shape):
    seen = torch.zeros(size, dtype=torch.int64)
    tiles = Area.whole(size).split(shape)
    for tile in tiles:
        tile.cut(seen).add_(1)
        assert all(side <= most for side, most in zip(tile.grid, shape, strict=True))
    assert bool((seen == 1).all())
    for axis in range(2):
        lengths = {tile.grid[axis] for tile in tiles}
        assert max(lengths) - min(lengths) <= 1


@given(seeds, st.tuples(sides, sides), st.integers(0, 3), st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_a_tile_and_its_margin_are_read_where_they_lie(seed, size, halo, shape):
    tokens, picture = normal(seed, 2, size[0] * size[1], 3), Area.whole(size)
    buffer = TokenBuffer.of(tokens, picture)
    for tile in picture.split(shape):
        around = tile.grown(halo, picture)
        above, below, left, right = around.margin(tile)
        height, width = around.grid
        read = buffer.read(around, tokens.device)
        inner = read.unflatten(1, around.grid)[:, above : height - below, left : width - right].flatten(1, 2)
        assert torch.equal(tile.cut_tokens(read, around), inner)
        assert torch.equal(inner, buffer.read(tile, tokens.device))


def tiled(model, tile):
    """The same model: its blocks do not know of tiles."""
    model.tile = tile_shape(tile)
    return model


def test_a_model_without_lr_and_without_guidance_comes_in_tiles_too():
    z, t, _, _ = question(size=(7, 5))
    model = dit(lr_stem=None, guidance_width=None, position_scale=1.0)
    with torch.no_grad():
        close("tiled", tiled(model, 2)(z, t, None, None), tiled(model, None)(z, t, None, None), 1e-10)


def test_a_picture_of_no_more_tokens_than_a_tile_and_one_with_gradients_are_computed_whole():
    model, (z, t, lr, words) = dit(), question(size=(4, 9))
    whole = model(z, t, lr, words)
    with torch.no_grad():
        assert torch.equal(tiled(model, 6)(z, t, lr, words), whole)
        assert torch.equal(tiled(model, (2, 18))(z, t, lr, words), whole)
    out = tiled(model, 2)(z, t, lr, words)
    assert torch.equal(out, whole)
    assert out.requires_grad


def test_an_expert_and_a_whole_model_come_in_tiles_by_one_key():
    z, t, lr, words = question(batch=4, size=(5, 6), dtype=torch.float32)
    model = mixture(False)
    with torch.no_grad():
        whole = model(z, t, lr, words)
        for expert in model.experts:
            tiled(expert, 3)
        prepared = model.prepare(lr, words, t)
        close("several experts", model(z, t, lr, words), whole, 1e-5)
        low = t.clamp(max=0.4)
        close("one", model(z, low, None, None, prepared=prepared), model(z, low, lr, words), 1e-5)
    picture = normal(5, 1, 3, 9, 13, dtype=torch.float32).sigmoid()
    close("restored", small_model(tile=4).restore(picture, 2), small_model().restore(picture, 2), 1e-5)


def test_sixteen_bits_in_tiles_are_sixteen_bits_whole_up_to_their_rounding():
    z, t, lr, words = question(size=(6, 7))
    low = z.bfloat16(), t, lr.bfloat16(), GuidanceTokens(words.tokens.bfloat16(), words.mask)
    single, asked = dit(torch.float32), question(size=(6, 7), dtype=torch.float32)
    with torch.no_grad():
        exact = dit()(z, t, lr, words)
        weights = tiled(dit(torch.bfloat16), 3)(*low)
        with torch.autocast("cpu", torch.bfloat16):
            kind, cast = single(*asked).dtype, tiled(single, 3)(*asked)
    assert (weights.dtype, cast.dtype) == (torch.bfloat16, kind)
    for got in (weights, cast):
        error = ((got.double() - exact).square().mean() / exact.square().mean()).sqrt()
        assert error < 8 * 2.0**-8  # a few roundings of 2⁻⁸, as untiled


def registered(registry, monkeypatch, cls):
    """Under its own name, until the test ends."""
    registry.own()
    monkeypatch.setitem(registry._module_dict, cls.__name__, cls)
    return {"type": cls.__name__}


def test_a_stem_that_does_not_say_how_far_it_looks_sees_the_whole_picture(monkeypatch):
    sizes = []

    class Normalising(torch.nn.Module):
        """Looks at the whole picture."""

        def __init__(self, stride):
            super().__init__()
            self.inner, self.out_channels = ConvStem(stride, width=4), 4

        def forward(self, lr):
            sizes.append(lr.shape[-2:])
            return self.inner(lr - lr.mean((-2, -1), keepdim=True))

    model, (z, t, lr, words) = dit(lr_stem=registered(STEMS, monkeypatch, Normalising)), question(size=(5, 6))
    with torch.no_grad():
        close("tiled", tiled(model, 2)(z, t, lr, words), tiled(model, None)(z, t, lr, words), 1e-10)
    assert sizes == [(10, 12)] * 2


@pytest.mark.parametrize(
    "attention", [{"type": "SoftmaxAttention"}, [{"type": "ReLULinearAttention"}, {"type": "SoftmaxAttention"}]]
)
def test_attention_that_does_not_add_up_is_refused_by_name_with_its_alternatives(attention):
    with pytest.raises(ConfigError, match=r"SoftmaxAttention is not additive.*ReLULinearAttention.*tile=None.*windows"):
        dit(attention=attention, tile=4)
    dit(attention=attention)


def test_a_feed_forward_that_does_not_say_how_far_it_looks_is_refused(monkeypatch):
    class Silent(GatedConvFeedForward):
        halo = None

    model = {"feed_forward": registered(FEED_FORWARDS, monkeypatch, Silent)}
    with pytest.raises(ConfigError, match=r"Silent does not say how far it looks.*`halo`"):
        dit(**model, tile=4)
    dit(**model)


def test_weights_in_pieces_are_refused(monkeypatch):
    """torch's fully_shard gives a module `unshard`; its hooks put the weights together before `forward` alone."""

    class InPieces(ATTENTION.require("ReLULinearAttention")):
        unshard = None

    with pytest.raises(ConfigError, match=r"InPieces has its weights in pieces \(ShardedModel\)"):
        dit(attention=registered(ATTENTION, monkeypatch, InPieces), tile=4)


def test_a_tile_is_set_by_an_option():
    model = load_config(QUICKSTART, ["model.denoiser.tile=64"]).model
    assert LinearDiT(**{key: value for key, value in model.denoiser.items() if key != "type"}, latent_channels=4).tile == (
        64,
        64,
    )
    assert load_config(QUICKSTART, ["model.denoiser.tile=[64,32]"]).model.denoiser.tile == [64, 32]


@pytest.mark.parametrize("tile", [0, (4,), (4, 0), (4, 4, 4), 2.5, "64", True, (True, 4)])
def test_an_impossible_tile_is_refused(tile):
    with pytest.raises(ConfigError, match=r"denoiser\.tile"):
        dit(tile=tile)


def test_a_tile_may_be_set_after_building_as_in_a_config():
    model, asked = dit(), question(size=(5, 6))
    with torch.no_grad():
        whole = model(*asked)
        for tile, shape in ((4, (4, 4)), ([2, 3], (2, 3)), (None, None)):
            model.tile = tile
            assert model.tile == shape
            close("tiled", model(*asked), whole, 1e-10)


def test_an_impossible_tile_is_refused_when_it_is_set():
    model = dit(tile=3)
    with pytest.raises(ConfigError, match=r"tile='4'.* set denoiser\.tile"):
        model.tile = "4"
    assert model.tile == (3, 3)
    with pytest.raises(ConfigError, match="SoftmaxAttention is not additive"):
        dit(attention={"type": "SoftmaxAttention"}).tile = 4


def test_what_does_not_fit_is_refused_in_tiles_as_it_is_whole():
    model, (z, t, lr, words) = dit(tile=2), question(size=(4, 6))
    with torch.no_grad():
        for changed, message in (
            ((z, t, lr[..., :11], words), "multiples of 2"),
            ((z, t, lr[..., :10], words), "must be padded"),
        ):
            with pytest.raises(ShapeError, match=message):
                model(*changed)
        with pytest.raises(ShapeError, match="multiples of patch_size=2"):
            dit(tile=2, patch_size=2)(z[..., :5], t, lr, words)
