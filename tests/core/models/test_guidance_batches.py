"""Prompts and tokens on their way from samples to the model, in the batches of mmengine."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.data.collate import collate_pictures
from linearsr.core.errors import DataError
from tests.core.models.guided_models import model, padded, shared, tokens, training_batch
from tests.strategies import seeds


def samples(batch, guidance=None, prompts=None):
    own = [None] * len(batch.lr) if guidance is None else guidance
    made = []
    for i, seed in enumerate(batch.seeds):
        sample = {"lr": batch.lr[i], "hr": batch.hr[i], "seed": seed, "name": f"photo {i}", "dataset": "some"}
        sample |= {} if own[i] is None else {"guidance": (own[i], torch.ones(len(own[i]), dtype=torch.bool))}
        made.append(sample | ({} if prompts is None or prompts[i] is None else {"prompt": prompts[i]}))
    return made


@given(seeds, st.lists(st.integers(1, 5), min_size=3, max_size=3))
def test_a_batch_carries_its_tokens_to_the_loss_and_to_the_restored_pictures(seed, lengths):
    method, batch, own = shared(), training_batch(seed % 1000, 3), tokens(seed, lengths)
    carried = method.data_preprocessor(collate_pictures(samples(batch, own)), True)
    want = padded(own)
    assert torch.equal(carried["guidance"]["tokens"], want.tokens)
    assert torch.equal(carried["guidance"]["mask"], want.mask)
    assert torch.equal(method(**carried, mode="loss")["loss"], method.loss(batch, guidance=want)["loss"])
    restored = method(**carried, num_steps=2, mode="predict")
    assert torch.equal(restored[1]["sr"], method.restore(batch.lr, 2, batch.seeds, guidance=want)[1])


def test_the_tokens_of_a_batch_go_to_the_device_with_it():
    method, batch = model(), collate_pictures(samples(training_batch(0, 2), tokens(0, [2, 3])))
    method.data_preprocessor._device = torch.device("meta")  # as `to` sets it
    moved = method.data_preprocessor(batch, True)
    assert {part.device.type for part in moved["guidance"].values()} == {"meta"}


def test_a_batch_carries_its_prompts_and_pictures_without_one():
    method, batch, prompts = shared(), training_batch(0, 3), ["a dog", None, ""]
    carried = method.data_preprocessor(collate_pictures(samples(batch, prompts=prompts)), True)
    assert carried["prompts"] == prompts
    assert torch.equal(method(**carried, mode="loss")["loss"], method.loss(batch, prompts)["loss"])
    assert torch.equal(method(**carried), method.restore(batch.lr, 1, batch.seeds, prompts))
    assert not torch.equal(method(**carried), method.restore(batch.lr, 1, batch.seeds))


def test_a_batch_without_prompts_and_tokens_is_as_ever_and_prompts_that_became_tokens_are_gone():
    batch = training_batch(0, 2)
    assert set(collate_pictures(samples(batch))) == {"lr", "hr", "seeds", "names", "datasets"}
    made = collate_pictures(samples(batch, tokens(0, [2, 3]), ["a dog", "a cat"]))
    assert set(made) == {"lr", "hr", "seeds", "names", "datasets", "guidance"}


def test_batches_of_tokens_that_do_not_go_together_are_refused():
    batch, own = training_batch(0, 2), tokens(0, [2, 3])
    with pytest.raises(DataError, match="photo 1 comes without guidance tokens"):
        collate_pictures(samples(batch, [own[0], None]))
    with pytest.raises(DataError, match=r"torch\.bfloat16, 8 wide; torch\.float32, 8 wide"):
        collate_pictures(samples(batch, [own[0], own[1].bfloat16()]))
    with pytest.raises(DataError, match=r"7 wide; torch\.float32, 8 wide"):
        collate_pictures(samples(batch, [own[0], own[1][:, :7]]))
