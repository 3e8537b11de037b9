"""Which attention a block gets: one for all, or a pattern over the blocks."""

from pathlib import Path

import pytest
import torch

from linearsr.core.config import load_config
from linearsr.core.errors import ConfigError, UnknownComponentError
from linearsr.core.models import build_model
from linearsr.core.registries import ATTENTION
from tests.core.backbones.test_linear_dit import dit, question

HYBRID = Path(__file__).parents[3] / "configs" / "ablations" / "attention_hybrid.py"
RELU, SOFTMAX = {"type": "ReLULinearAttention"}, {"type": "SoftmaxAttention"}


def kinds(denoiser):
    return [type(block.attention).__name__[:4] for block in denoiser.blocks]


def test_a_pattern_is_repeated_over_the_blocks_from_the_first_on():
    assert kinds(dit(depth=5, attention=[RELU, SOFTMAX])) == ["ReLU", "Soft", "ReLU", "Soft", "ReLU"]
    assert kinds(dit(depth=2, attention=[SOFTMAX])) == ["Soft"] * 2


def test_a_pattern_of_one_is_that_one():
    asked = question()
    assert torch.equal(dit(attention=[RELU])(*asked), dit(attention=RELU)(*asked))


@pytest.mark.parametrize("attention", [[], [RELU] * 3])
def test_a_pattern_that_fits_no_block_or_more_blocks_than_there_are_is_refused(attention):
    with pytest.raises(ConfigError, match=f"list of {len(attention)} for depth=2 blocks"):
        dit(attention=attention)


@pytest.mark.parametrize("attention", ["ReLULinearAttention", None, 5, {"type"}])
def test_what_is_neither_an_attention_nor_a_list_is_refused(attention):
    with pytest.raises(ConfigError, match=rf"denoiser\.attention is {attention!r}; wanted dict\(type=…\) or a list of them"):
        dit(attention=attention)


def test_a_name_in_a_pattern_is_refused():
    with pytest.raises(ConfigError, match=r"the attention is described as dict\(type=.* got 'SoftmaxAttention'"):
        dit(attention=[RELU, "SoftmaxAttention"])


def test_each_block_tells_its_index_to_an_attention_that_asks(monkeypatch):
    ReLU = ATTENTION.require("ReLULinearAttention")

    class Indexed(ReLU):
        def __init__(self, dim, num_heads, layer):
            super().__init__(dim, num_heads)
            self.layer = layer

    monkeypatch.setitem(ATTENTION._module_dict, "Indexed", Indexed)
    assert [block.attention.layer for block in dit(depth=3, attention={"type": "Indexed"}).blocks] == [0, 1, 2]


def test_the_hybrid_of_linear_and_softmax_blocks_is_a_config():
    model = build_model(load_config(HYBRID))
    assert kinds(model.denoiser) == ["ReLU", "ReLU", "ReLU", "Soft"]
    assert model.restore(torch.rand(1, 3, 5, 6)).shape == (1, 3, 20, 24)


def test_a_misspelt_attention_or_key_in_a_pattern_is_found_before_anything_is_built(tmp_path):
    for last, error, message in (
        ('dict(type="SoftMaxAttention")', UnknownComponentError, "did you mean 'SoftmaxAttention'"),
        ('dict(type="SoftmaxAttention", qk_nrom=True)', ConfigError, r"attention\.1.*did you mean 'qk_norm'"),
    ):
        config = tmp_path / "config.py"
        pattern = f'attention=[dict(type="ReLULinearAttention"), {last}]'
        config.write_text(f'_base_ = "{HYBRID.parents[1]}/quickstart_x4.py"\nmodel = dict(denoiser=dict({pattern}))\n')
        with pytest.raises(error, match=message):
            load_config(config)
