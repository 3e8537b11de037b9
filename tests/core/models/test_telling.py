"""What pictures are told: tokens that are given, and prompts of which some are missing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, DataError, ShapeError
from linearsr.core.models.telling import merged
from linearsr.core.structures import GuidanceTokens
from tests.core.models.guided_models import (
    WIDTH,
    assert_close,
    guided_by,
    model,
    padded,
    photos,
    shared,
    tokens,
    training_batch,
)
from tests.strategies import seeds, token_lengths


@given(seeds, token_lengths, st.integers(0, 3), st.sampled_from([0.0, 7.0, float("nan")]))
def test_pictures_with_tokens_of_mixed_lengths_are_restored_as_one_by_one_whatever_is_behind_the_mask(
    seed, lengths, extra, filling
):
    method = guided_by(shared(), scale=3.0)
    lr, own = photos(seed, len(lengths)), tokens(seed, lengths)
    together = method.restore(lr, 2, guidance=padded(own, extra, filling))
    alone = [method.restore(lr[i : i + 1], 2, guidance=padded([each])) for i, each in enumerate(own)]
    assert_close(together, torch.cat(alone))


@given(seeds, st.permutations(range(5)), st.integers(1, 5))
def test_the_order_of_tokens_does_not_matter(seed, order, counted):
    lr, [own] = photos(seed, 1), tokens(seed, [5])
    mask = (torch.arange(5) < counted)[None]
    method = guided_by(shared(), scale=3.0)
    turned = GuidanceTokens(own[None, list(order)], mask[:, list(order)])
    assert_close(method.restore(lr, 2, guidance=turned), method.restore(lr, 2, guidance=GuidanceTokens(own[None], mask)))


@given(seeds)
def test_tokens_swapped_between_pictures_change_both(seed):
    lr, own = photos(seed, 1, 6).expand(2, -1, -1, -1), tokens(seed, [3, 3])
    one, other = shared().restore(lr, 1, guidance=padded(own)), shared().restore(lr, 1, guidance=padded(own[::-1]))
    assert (one - other).abs().amax((1, 2, 3)).min() > 1e-4
    assert_close(other.flip(0), one)


def test_given_tokens_are_those_of_the_guidance_and_its_encoder_is_not_asked(monkeypatch):
    method, batch = model(), training_batch(0)
    lr = batch.lr
    made = method.guidance(lr)
    restored, loss = method.restore(lr, 2), method.loss(batch)["loss"]
    monkeypatch.setattr(method.guidance, "text_encoder", None)
    monkeypatch.setattr(type(method.guidance), "width", WIDTH)
    assert torch.equal(method.restore(lr, 2, guidance=made), restored)
    assert torch.equal(method.loss(batch, guidance=made)["loss"], loss)


def test_tokens_that_do_not_fit_are_refused():
    method, lr, own = shared(), photos(0, 2), padded(tokens(0, [3, 2]))
    with pytest.raises(ConfigError, match=r"7 wide, and those of model\.guidance, PromptGuidance, are 8"):
        method.restore(lr, guidance=GuidanceTokens(own.tokens[..., :7], own.mask))
    with pytest.raises(ShapeError, match="given for 2 pictures, and there are 1"):
        method.restore(lr[:1], guidance=own)
    with pytest.raises(ConfigError, match="prompts and guidance tokens were given; pass either"):
        method.restore(lr, prompts=["a", "b"], guidance=own)
    with pytest.raises(ConfigError, match=r"guidance tokens were given, but model\.guidance is None"):
        model(guidance=None).restore(lr, guidance=own)


@given(seeds, st.lists(st.sampled_from([None, "", "a dog", "two dogs in the snow"]), min_size=1, max_size=4))
def test_a_picture_is_told_its_prompt_or_none_as_if_it_were_alone(seed, prompts):
    lr, method = photos(seed, len(prompts)), guided_by(shared(), scale=2.0)
    together = method.restore(lr, 1, prompts=prompts)
    alone = [method.restore(lr[i : i + 1], 1, prompts=None if own is None else [own]) for i, own in enumerate(prompts)]
    assert_close(together, torch.cat(alone))


def test_there_is_one_prompt_for_each_picture():
    for prompts in (["a"], ["a", None, None]):
        with pytest.raises(ShapeError, match=f"{len(prompts)} prompts for 2 pictures"):
            shared().restore(photos(0, 2), prompts=prompts)


def test_merged_rows_keep_their_order_and_the_first_ones_type():
    here, elsewhere = padded(tokens(0, [2, 1])), padded(tokens(5, [3]))
    bf16 = GuidanceTokens(here.tokens.bfloat16(), here.mask)
    both = merged(torch.tensor([True, False, True]), bf16, elsewhere)
    assert both.tokens.dtype == torch.bfloat16
    assert both.mask.sum(1).tolist() == [2, 3, 1]
    assert torch.equal(both.tokens[[0, 2], :2], bf16.tokens)
    assert torch.equal(both.tokens[1], elsewhere.tokens[0].bfloat16())


def test_tokens_that_are_none_or_no_numbers_and_one_text_for_all_are_refused():
    lr = torch.rand(3, 3, 8, 8)
    mask = torch.ones(3, 1, dtype=torch.bool)
    with pytest.raises(ShapeError, match=r"no tokens \(L = 0\); to say nothing"):
        shared().restore(lr, guidance=GuidanceTokens(torch.zeros(3, 0, WIDTH), mask[:, :0]))
    with pytest.raises(DataError, match="NaN or Inf"):
        shared().restore(lr, guidance=GuidanceTokens(torch.full((3, 1, WIDTH), torch.nan), mask))
    with pytest.raises(ConfigError, match="prompts is one text, 'cat'; wanted a list"):
        shared().restore(lr, prompts="cat")
