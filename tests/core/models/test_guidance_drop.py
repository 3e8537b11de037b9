"""Training pictures that are not told: each one's seed decides, and nothing else of the run changes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.core.models.telling import with_drops
from linearsr.core.structures import GuidanceTokens, SRBatch
from tests.core.models.guided_models import WIDTH, model, padded, shared, tokens, training_batch
from tests.strategies import seeds, token_lengths


@given(seeds, token_lengths, st.floats(0, 1), st.data())
def test_a_pictures_seed_alone_decides_whether_it_is_told(seed, lengths, probability, data):
    own, guidance = tokens(seed, lengths), shared().guidance
    their_seeds = list(range(seed, seed + len(own)))
    together = with_drops(padded(own), guidance, probability, their_seeds)
    for i in data.draw(st.permutations(range(len(own)))):  # as another batch size, or a run that is resumed
        alone = with_drops(padded([own[i]]), guidance, probability, [their_seeds[i]])
        length = alone.tokens.shape[1]
        assert torch.equal(together.tokens[i, :length], alone.tokens[0])
        assert torch.equal(together.mask[i, :length], alone.mask[0])
        assert not together.mask[i, length:].any()
        assert not together.tokens[i, length:].any()


@given(seeds, token_lengths)
def test_none_is_dropped_at_0_and_all_are_at_1(seed, lengths):
    given_, guidance, their_seeds = padded(tokens(seed, lengths)), shared().guidance, range(seed, seed + len(lengths))
    assert with_drops(given_, guidance, 0.0, their_seeds) is given_
    dropped = with_drops(given_, guidance, 1.0, their_seeds)
    null = guidance.null(len(lengths))
    assert torch.equal(dropped.tokens[:, :1], null.tokens)
    assert torch.equal(dropped.mask.sum(1), torch.ones(len(lengths)))


def dropped_of(count, probability, first):
    own = GuidanceTokens(torch.ones(count, 1, WIDTH), torch.ones(count, 1, dtype=torch.bool))
    return ~with_drops(own, shared().guidance, probability, range(first, first + count)).tokens.any(-1).squeeze(1)


@given(seeds, st.floats(0.05, 0.95))
def test_as_many_are_dropped_as_the_probability_says(first, probability):
    share = dropped_of(400, probability, first).double().mean().item()
    assert abs(share - probability) < 5 * (probability * (1 - probability) / 400) ** 0.5  # five deviations of a binomial


@given(seeds, st.floats(0, 1), st.floats(0, 1))
def test_what_is_dropped_at_some_probability_is_at_every_higher_one(first, one, other):
    less, more = (dropped_of(20, probability, first) for probability in sorted((one, other)))
    assert not (less & ~more).any()


def test_a_drop_moves_neither_time_nor_noise_and_a_batch_that_loses_none_has_the_same_loss():
    batch, plain, dropping = training_batch(0), model(), model(guidance_drop=0.1)
    assert not dropped_of(4, 0.1, 0).any()
    assert torch.equal(dropping.loss(batch)["loss"], plain.loss(batch)["loss"])
    always = model(guidance_drop=1.0).loss(batch)["loss"]
    assert torch.equal(always, plain.loss(batch, guidance=plain.guidance.null(4))["loss"])
    assert not torch.equal(always, plain.loss(batch)["loss"])


def test_a_loss_with_drops_does_not_depend_on_how_the_batch_is_divided():
    method, batch = model(guidance_drop=0.5), training_batch(3)
    halves = [SRBatch(batch.lr[rows], batch.seeds[rows], batch.hr[rows]) for rows in (slice(0, 1), slice(1, 2), slice(2, 4))]
    parts = [method.loss(half)["loss"].item() * len(half.seeds) for half in halves]
    assert method.loss(batch)["loss"].item() == pytest.approx(sum(parts) / 4, rel=1e-5)  # float32 sums


def test_the_gradient_reaches_the_projection_from_tokens_and_its_biases_from_null():
    told, dropped = model(), model(guidance_drop=1.0)
    for method in (told, dropped):
        method.loss(training_batch(0))["loss"].backward()
    for name, parameter in told.denoiser.guidance_projection.named_parameters():
        assert parameter.grad.any(), name
    assert dropped.denoiser.guidance_projection.linear_1.bias.grad.any()


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan"), "0.1", True])
def test_a_drop_that_is_no_probability_is_refused(probability):
    with pytest.raises(ConfigError, match=r"model\.guidance_drop is .*; wanted a finite number"):
        model(guidance_drop=probability)


def test_a_drop_without_guidance_is_refused():
    with pytest.raises(ConfigError, match=r"model\.guidance_drop is 0\.1, but model\.guidance is None"):
        model(guidance=None, guidance_drop=0.1)
