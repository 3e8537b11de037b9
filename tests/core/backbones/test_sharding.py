"""Several ranks compute one picture together: what each returns is what one process computes."""

from functools import lru_cache

import pytest
import torch
import torch.distributed as dist

from linearsr.core.backbones.tiling import sharded_over
from linearsr.core.conformance import close, refused
from linearsr.core.costs import peak_bytes
from linearsr.core.errors import ConfigError
from linearsr.core.registries import ATTENTION
from tests.core.backbones.test_activation_checkpointing import mixture
from tests.core.backbones.test_linear_dit import dit, question
from tests.core.engine.distributed.models import small_model
from tests.core.engine.distributed.ranks import on_ranks
from tests.strategies import normal

ADDITIVE = [name for name, cls in ATTENTION.own().items() if cls.additive is True]
SIZE = (11, 7)
"""Rows that neither 2 nor 3 ranks share evenly."""
SINGLE = 1e-5
"""Float32 through two blocks, summed in another order."""


def denoiser(attention="ReLULinearAttention", **options):
    return dit(torch.float32, attention={"type": attention}, **options)


def asked(size=SIZE):
    return question(size=size, dtype=torch.float32)


def picture():
    return normal(5, 1, 3, 13, 9, dtype=torch.float32).sigmoid()


@torch.no_grad()
def answers():
    """Of many denoisers, by what they are asked."""
    z, t, lr, words = asked()
    found = {}
    for name in ADDITIVE:
        for tile in (None, 3):
            model = denoiser(name, tile=tile)
            found[f"{name}, tile={tile}"] = model(z, t, None, None, prepared=model.prepare(lr, words, t))
    paired = denoiser(patch_size=2, position_scale=1.0)
    found["patches of two"] = paired(*asked((22, 6)))
    found["several experts"] = mixture(False)(z, t, lr, words)
    found["restored"] = small_model(tile=4).restore(picture(), 2)
    return found


def peak_of_a_large_picture():
    model, size = denoiser(tile=8, guidance_width=None), (96, 32)
    z, lr = normal(0, 1, 4, *size, dtype=torch.float32), normal(1, 1, 3, 192, 64, dtype=torch.float32).tanh()

    def evaluate():
        with torch.no_grad():
            return model(z, torch.tensor([0.5]), lr, None)

    return peak_bytes(evaluate)


def complaints(group):
    model, (z, t, lr, words) = denoiser(), asked()
    with sharded_over(group):
        gradients = refused(lambda: model(z, t, lr, words))
        with torch.no_grad():
            prepared = model.prepare(lr, words)
            rows = refused(lambda: model(z[..., :1, :], t, lr[..., :2, :], words))
            softmax = refused(lambda: denoiser("SoftmaxAttention")(z, t, lr, words))
    with torch.no_grad():
        stray = refused(lambda: model(z, t, None, None, prepared=prepared))
        with sharded_over(group):
            other = 2 * (6 + dist.get_rank())
            disagreement = refused(lambda: model(z[..., : other // 2, :], t, lr[..., :other, :], words))
    return [gradients, rows, softmax, stray, disagreement]


def work():
    """All three ranks together, then two of them in a group of their own."""
    found = {}
    for size, group in ((3, None), (2, dist.new_group([1, 2]))):
        if group is None or dist.get_rank() > 0:
            with sharded_over(group):
                found[size] = answers() | {"peak": peak_of_a_large_picture()}
            found[size]["complaints"] = complaints(group)
        else:
            found["outside"] = refused(sharded_over(group).__enter__)
    return found


@lru_cache
def everything():
    return on_ranks(work, ranks=3)


@lru_cache
def alone():
    return answers()


@pytest.fixture(params=[2, 3])
def ranks(request):
    """What each of so many ranks found."""
    return [found[request.param] for found in everything() if request.param in found]


def test_every_rank_returns_what_one_process_computes(ranks):
    for found in ranks:
        for name, want in alone().items():
            close(name, found[name], want, SINGLE)


def test_every_rank_returns_the_same_bit_for_bit(ranks):
    for name in alone():
        assert all(torch.equal(found[name], ranks[0][name]) for found in ranks), name


def test_what_ranks_cannot_share_is_refused_with_what_to_do(ranks):
    for found in ranks:
        gradients, rows, softmax, stray, disagreement = found["complaints"]
        assert "torch.no_grad()" in gradients
        assert f"{len(ranks)} ranks share 1 rows of tokens" in rows
        assert "at most 1 ranks" in rows
        assert "SoftmaxAttention is not additive" in softmax
        assert "sharded_over" in stray
        assert "asked for the same one; they have rank 0: tokens" in disagreement


def test_sharding_needs_a_group_that_this_process_is_in():
    assert "is not in the group" in everything()[0]["outside"]
    with pytest.raises(ConfigError, match="start with torchrun"), sharded_over():
        pass


def test_a_rank_holds_its_share_of_the_activations(ranks):
    """Its band, a row of each neighbour and the tile at work; the picture that it returns is whole."""
    whole = peak_of_a_large_picture()
    for found in ranks:
        assert found["peak"] < whole / len(ranks) + whole / 4
