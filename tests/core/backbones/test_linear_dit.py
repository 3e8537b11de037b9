"""The denoiser as a whole: prepare, times, patches, types, where it starts, and what it refuses."""

import pytest
import torch
from einops import rearrange

from linearsr.core.backbones import LinearDiT
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.module_laws import dead_gradients
from linearsr.core.structures import GuidanceTokens
from tests.strategies import normal

EXACT = {"rtol": 0, "atol": 1e-12}
"""Float64 through two blocks."""


def dit(dtype=torch.float64, **changes):
    options = {
        "depth": 2,
        "width": 24,
        "head_width": 8,
        "latent_channels": 4,
        "latent_factor": 4,
        "upscale": 2,
        "guidance_width": 6,
        "attention": {"type": "ReLULinearAttention"},
        "feed_forward": {"type": "GatedConvFeedForward", "ratio": 2.0},
        "lr_stem": {"type": "ConvStem", "width": 8},
    }
    torch.manual_seed(0)
    return LinearDiT(**(options | changes)).to(dtype)


def question(batch=3, size=(3, 5), dtype=torch.float64):
    """z, t, lr, guidance; the last picture has no guidance at all."""
    z = normal(0, batch, 4, *size, dtype=dtype)
    lr = normal(1, batch, 3, 2 * size[0], 2 * size[1], dtype=dtype).tanh()
    mask = torch.ones(batch, 4, dtype=torch.bool)
    mask[0, 2:] = False
    mask[-1] = False
    return (
        z,
        torch.linspace(0.1, 0.9, batch, dtype=torch.float64),
        lr,
        GuidanceTokens(normal(2, batch, 4, 6, dtype=dtype), mask),
    )


def test_prepared_gives_the_same_output_and_the_same_gradients():
    model = dit()
    z, t, lr, words = question()
    plain = torch.autograd.grad(model(z, t, lr, words).square().sum(), list(model.parameters()))
    prepared = model.prepare(lr, words, t)
    got = torch.autograd.grad(model(z, t, None, None, prepared=prepared).square().sum(), list(model.parameters()))
    for (name, _), a, b in zip(model.named_parameters(), got, plain, strict=True):
        assert (a - b).abs().max() <= 1e-11 * max(b.abs().max(), 1), name  # float64 rounding


def test_prepared_times_are_found_by_equality_in_the_wider_type():
    model = dit()
    z, _, lr, words = question()
    table = torch.tensor([1.0, 0.9, 0.3, 0.0], dtype=torch.float32)
    prepared = model.prepare(lr, words, table)
    assert prepared.tables.at(table[[2, 0, 2]]).times.tolist() == table[[2, 0, 2]].tolist()
    assert len(prepared.tables.at(table[[1, 1, 1]]).times) == 1
    exactly = torch.full((3,), 0.9, dtype=torch.float64)  # float32's 0.9 is another number
    assert prepared.tables.at(exactly) is None
    assert prepared.tables.at(exactly.float().double()) is not None
    for t in (exactly, exactly + 1e-4, torch.tensor([0.9, 0.31, 0.0])):
        torch.testing.assert_close(model(z, t, None, None, prepared=prepared), model(z, t, lr, words), **EXACT)
    moved = model(z, exactly + 1e-4, lr, words) - model(z, exactly, lr, words)
    assert moved.abs().max() > 1e-6  # so that rounding to the table would have shown


def test_an_empty_table_is_no_table():
    model = dit()
    z, t, lr, words = question()
    prepared = model.prepare(lr, words, t[:0])
    torch.testing.assert_close(model(z, t, None, None, prepared=prepared), model(z, t, lr, words), **EXACT)


def test_a_dit_is_its_stages_one_after_another():
    model = dit(position_scale=1.0)
    z, t, lr, words = question()
    prepared, tables = model.prepare(lr, words), model.tables(t)
    x = model.embed(z, (3, 5), prepared)
    for block, modulation, cross in zip(model.blocks, tables.blocks, prepared.cross, strict=True):
        x = block(x, (3, 5), modulation, cross)
    assert torch.equal(model.project(x, (3, 5), tables.head), model(z, t, lr, words))


def test_a_block_is_attention_cross_attention_and_feed_forward_each_added():
    block = dit().blocks[0]
    x, table, grid = normal(3, 2, 15, 24), normal(4, 6, 2, 24), (3, 5)
    cross = block.cross_attention.tokens(normal(5, 2, 4, 24), torch.ones(2, 4, dtype=torch.bool))
    shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = table[:, :, None]

    def norm(value):
        return (value - value.mean(-1, keepdim=True)) / (value.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()

    y = x + gate * block.attention(norm(x) * (1 + scale) + shift, grid)
    y = y + block.cross_attention(y, cross)
    y = y + gate_ffn * block.feed_forward(norm(y) * (1 + scale_ffn) + shift_ffn, grid)
    torch.testing.assert_close(block(x, grid, table, cross), y, **EXACT)


def test_a_started_at_zero_model_gives_exactly_0_and_its_head_learns_first():
    model = dit(zero_init=True)
    z, t, lr, words = question()
    out = model(z, t, lr, words)
    assert not out.any()
    (out - z).square().mean().backward()
    assert bool(model.head.weight.grad.any())
    assert bool(model.head.bias.grad.any())
    # behind the head, which is 0, nothing learns yet; after one step of it, the whole path does
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    model.zero_grad()
    (model(z, t, lr, words) - z).square().mean().backward()
    gates = [row for block in model.blocks for row in block.scale_shift_table.grad[[2, 5]]]
    assert all(bool(row.any()) for row in gates)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    model.zero_grad()
    (model(z, t, lr, words) - z).square().mean().backward()
    assert dead_gradients(model) == []


def test_with_gates_of_zero_a_block_passes_its_input_through():
    block = dit(zero_init=True, guidance_width=None).blocks[0]
    x = normal(0, 2, 15, 24)
    modulation = block.modulation(dit(zero_init=True).time_block(normal(1, 2, 24)))
    assert torch.equal(block(x, (3, 5), modulation, None), x)


def test_patches_of_two_are_cut_and_put_back_in_sanas_order():
    model = dit(patch_size=2)
    tokens = normal(0, 1, 6, 24)
    model.head = torch.nn.Identity()
    model.head.forward = lambda x: tokens[..., :16]
    got = model.project(tokens, (2, 3), torch.zeros(2, 1, 24, dtype=torch.float64))
    want = tokens[..., :16].view(1, 2, 3, 2, 2, 4).permute(0, 5, 1, 3, 2, 4).reshape(1, 4, 4, 6)
    assert torch.equal(got, want)


def test_with_patches_of_two_a_pixel_reaches_its_own_patch_and_the_patches_around():
    """Where attention adds nothing, the feed-forward's 3×3 convolution is all that reaches another token."""
    model = dit(depth=1, patch_size=2, guidance_width=None)
    torch.nn.init.zeros_(model.blocks[0].attention.proj.weight)
    z, lr = normal(0, 1, 4, 8, 10), normal(1, 1, 3, 16, 20)
    t = torch.tensor([0.5])
    changed = z.clone()
    changed[..., 4, 5] += 1  # patch row 2, column 2
    moved = (model(changed, t, lr, None) - model(z, t, lr, None)).abs().amax((0, 1))
    patches = rearrange(moved, "(h p) (w q) -> h w (p q)", p=2, q=2).amax(-1) > 0
    want = torch.zeros(4, 5, dtype=torch.bool)
    want[1:4, 1:4] = True
    assert torch.equal(patches, want)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (11, 13)])
def test_odd_grids_keep_their_size(size):
    z, t, lr, words = question(size=size)
    out = dit(position_scale=2.0)(z, t, lr, words)
    assert out.shape == z.shape
    assert bool(out.isfinite().all())


def test_positions_make_a_place_known_before_the_first_block():
    grid, z = (3, 5), torch.zeros(1, 4, 3, 5, dtype=torch.float64)
    placed, plain = (dit(position_scale=scale, lr_stem=None) for scale in (1.0, None))
    prepared = plain.prepare(None, None)
    difference = placed.embed(z, grid, prepared) - plain.embed(z, grid, prepared)
    torch.testing.assert_close(difference, placed.positions(grid, z), **EXACT)
    assert not plain.embed(z, grid, prepared).diff(dim=1).any()


def rough(got, want):
    """Root mean square of the error, of that of the output."""
    return ((got.double() - want).square().mean() / want.square().mean()).sqrt().item()


def test_bfloat16_weights_and_autocast_stay_within_a_few_roundings_of_float64():
    z, t, lr, words = question(size=(6, 7))
    exact = dit()(z, t, lr, words)
    low = [value.bfloat16() for value in (z, lr, words.tokens)]
    out = dit(torch.bfloat16)(low[0], t, low[1], GuidanceTokens(low[2], words.mask))
    assert out.dtype == torch.bfloat16
    assert rough(out, exact) < 8 * 2.0**-8
    single = question(size=(6, 7), dtype=torch.float32)
    model = dit(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        cast = model(*single)
        prepared = model.prepare(single[2], single[3], t)
        again = model(single[0], t, None, None, prepared=prepared)
    assert rough(cast, exact) < 8 * 2.0**-8
    assert torch.equal(cast, again)
    cast.float().square().sum().backward()
    assert dead_gradients(model) == []


def test_what_float32_prepared_serves_under_autocast():
    model, (z, t, lr, words) = dit(torch.float32), question(dtype=torch.float32)
    prepared = model.prepare(lr, words, t)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(z, t, None, None, prepared=prepared)
    assert rough(out, model(z, t, lr, words).double()) < 8 * 2.0**-8


def test_a_model_without_lr_and_without_guidance_sees_its_latent_alone():
    z, t, _, _ = question()
    model = dit(lr_stem=None, guidance_width=None)
    out = model(z, t, None, None)
    assert torch.equal(model(z, t, None, None, prepared=model.prepare(None, None)), out)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 0}, r"denoiser\.depth is 0; wanted a whole number of at least 1"),
        ({"depth": "2"}, r"denoiser\.depth is '2'"),
        ({"depth": True}, r"denoiser\.depth is True"),
        ({"width": 24.0}, r"denoiser\.width is 24\.0"),
        ({"head_width": 0}, r"denoiser\.head_width is 0"),
        ({"head_width": 7}, r"denoiser\.head_width is 7; wanted a divisor of denoiser\.width=24"),
        ({"cross_head_width": 0}, r"denoiser\.cross_head_width is 0"),
        ({"patch_size": "2"}, r"denoiser\.patch_size is '2'"),
        ({"position_scale": float("inf")}, r"denoiser\.position_scale is inf; wanted a finite number above 0"),
        ({"position_scale": 1.0, "position_base": 2.5}, r"denoiser\.position_base is 2\.5"),
        ({"cross_qk_norm": "no"}, r"denoiser\.cross_qk_norm is 'no'; wanted True or False"),
        ({"zero_init": 0}, r"denoiser\.zero_init is 0; wanted True or False"),
        ({"activation_checkpointing": "off"}, r"denoiser\.activation_checkpointing is 'off'"),
        ({"cross_head_width": 7}, "cross_head_width=7 does not divide width=24"),
        ({"width": 18, "head_width": 6, "position_scale": 1.0}, "multiple of 4"),
        ({"attention": {"type": "ReLULinearAttention", "qk_nrom": True}}, "did you mean 'qk_norm'"),
    ],
)
def test_an_impossible_model_is_refused_with_its_key(changes, message):
    with pytest.raises(ConfigError, match=message):
        dit(**changes)


def refuse(error, message, attempt):
    with pytest.raises(error, match=message):
        attempt()


def test_what_does_not_fit_is_refused_with_what_was_wanted():
    model, (z, t, lr, words) = dit(), question()
    prepared = model.prepare(lr, words)
    refuse(ShapeError, r"wanted \[B, 4, h, w\] and \[B\]", lambda: model(z[:, :3], t, lr, words))
    refuse(ShapeError, r"wanted \[B, 4, h, w\] and \[B\]", lambda: model(z, t[:2], lr, words))
    refuse(ShapeError, "wanted float32 or float64", lambda: model(z, t.bfloat16(), lr, words))
    refuse(ShapeError, "wanted float32 or float64", lambda: model(z, t.half(), None, None, prepared=prepared))
    refuse(ShapeError, "the LR must be padded to the latent's size", lambda: model(z, t, lr[..., :8], words))
    refuse(ShapeError, "multiples of 2", lambda: model(z, t, lr[..., :9], words))
    refuse(ConfigError, "together with prepared", lambda: model(z, t, lr, None, prepared=prepared))
    refuse(ConfigError, "together with prepared", lambda: model(z, t, None, words, prepared=prepared))
    refuse(ConfigError, "needs lr", lambda: model(z, t, None, words))
    refuse(ConfigError, "no LR stem", lambda: dit(lr_stem=None)(z, t, lr, words))
    refuse(ConfigError, "no cross-attention", lambda: dit(guidance_width=None)(z, t, lr, words))
    narrow = GuidanceTokens(words.tokens[..., :5], words.mask)
    refuse(ConfigError, "5 wide; the denoiser was built with guidance_width=6", lambda: model(z, t, lr, narrow))
    fewer = GuidanceTokens(words.tokens[:2], words.mask[:2])
    refuse(ShapeError, "for 2 pictures and the LR is a batch of 3", lambda: model(z, t, lr, fewer))
    refuse(ShapeError, "z_t is a batch of 3 and the LR one of 2", lambda: model(z, t, lr[:2], fewer))
    refuse(ShapeError, "z_t is a batch of 2 and the LR one of 3", lambda: model(z[:2], t[:2], None, None, prepared=prepared))
    paired = dit(patch_size=2)
    refuse(ShapeError, "multiples of patch_size=2", lambda: paired(z, t, lr, words))


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30])
def test_what_stands_behind_the_mask_reaches_neither_output_nor_gradients(garbage):
    model, (z, t, lr, words) = dit(), question()
    spoilt = GuidanceTokens(words.tokens.masked_fill(~words.mask[..., None], garbage), words.mask)
    clean, dirty = model(z, t, lr, words), model(z, t, lr, spoilt)
    assert torch.equal(clean, dirty)
    dirty.pow(2).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
