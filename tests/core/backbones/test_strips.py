"""A feed-forward in strips of rows computes what it computes at once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from linearsr.core.backbones import GatedConvFeedForward, gated_conv_ffn, strips
from linearsr.core.errors import ConfigError
from tests.strategies import normal, seeds

sides = st.integers(1, 9)


def feed_forward(seed=0, dim=6, **options):
    torch.manual_seed(seed)
    return GatedConvFeedForward(dim, ratio=1.5, **options).double()


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    """What is not written must not be read."""
    honest = torch.Tensor.new_empty
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda self, *size, **kw: honest(self, *size, **kw).fill_(float("nan")))


def at_once(module, x, grid):
    module.strip_tokens = x.shape[1] + 1
    with torch.no_grad():
        return module(x, grid)


@given(seeds, st.integers(1, 3), sides, sides, st.integers(1, 81))
def test_strips_of_any_number_of_tokens_change_nothing(seed, batch, height, width, tokens):
    module, x = feed_forward(seed), normal(seed, batch, height * width, 6)
    want = at_once(module, x, (height, width))
    module.strip_tokens = tokens
    with torch.no_grad():
        got = module(x, (height, width))
    torch.testing.assert_close(got, want, rtol=0, atol=1e-13)  # products of other sizes round otherwise


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_strips_in_short_types_and_under_autocast_give_the_type_that_the_whole_gives(dtype):
    module, x = feed_forward(strip_tokens=7).to(dtype), normal(1, 2, 20, 6, dtype=dtype)
    for autocast in (False, True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            module.strip_tokens = 7
            got = module(x, (4, 5))
            module.strip_tokens = 21
            want = module(x, (4, 5))
        assert got.dtype == want.dtype
        # the same roundings to 16 bits, but for products that another size sums in another order
        tolerance = 2.0**-7 if want.dtype == torch.bfloat16 else 1e-6
        assert (got - want).abs().max() <= tolerance * want.abs().max()


def test_a_cpu_works_in_strips_by_itself_and_holds_a_strip_of_the_hidden_picture(monkeypatch):
    seen = []
    honest = strips.feed_forward_in_strips
    monkeypatch.setattr(gated_conv_ffn, "CPU_STRIP", 12)
    monkeypatch.setattr(gated_conv_ffn, "feed_forward_in_strips", lambda *a: seen.append(a[-1]) or honest(*a))
    module, x = feed_forward(), normal(0, 2, 30, 6)
    with torch.no_grad():
        got = module(x, (10, 3))
        assert seen == [4, 4]  # 12 tokens are 4 rows of 3, for each picture
        module(x[:, :9], (3, 3))
    module(x, (10, 3)).sum().backward()  # gradients need the hidden picture
    assert seen == [4, 4]
    torch.testing.assert_close(got, at_once(module, x, (10, 3)), rtol=0, atol=1e-13)


def test_tokens_that_lie_in_any_order_in_memory_serve():
    module, x = feed_forward(strip_tokens=5), normal(0, 2, 6, 20).transpose(1, 2)
    with torch.no_grad():
        got = module(x, (4, 5))
    torch.testing.assert_close(got, at_once(module, x.contiguous(), (4, 5)), rtol=0, atol=1e-13)


class Adapter(nn.Module):
    """A layer that is wrapped, as adapters do."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.more = nn.Linear(inner.in_features, inner.out_features, bias=False).double()

    def forward(self, x):
        return self.inner(x) + self.more(x)


def test_a_layer_that_is_wrapped_or_hooked_is_called():
    module, x = feed_forward(strip_tokens=5), normal(0, 2, 20, 6)
    module.expand, module.contract = Adapter(module.expand), Adapter(module.contract)
    recorded = module(x, (4, 5))
    with torch.no_grad():
        torch.testing.assert_close(module(x, (4, 5)), recorded.detach(), rtol=0, atol=1e-13)
    called, plain = [], feed_forward(strip_tokens=5)
    plain.depthwise.register_forward_hook(lambda *_: called.append(True))
    with torch.no_grad():
        plain(x, (4, 5))
    assert called


@pytest.mark.parametrize("value", [0, 2.5, True, "5"])
def test_a_strip_of_no_whole_number_of_tokens_is_refused(value):
    with pytest.raises(ConfigError, match=rf"feed_forward\.strip_tokens is {value!r}; wanted a whole number of at least 1"):
        feed_forward(strip_tokens=value)


@pytest.mark.parametrize("value", ["2", float("inf"), 0, -1.5])
def test_a_ratio_that_is_no_positive_number_is_refused(value):
    with pytest.raises(ConfigError, match=rf"feed_forward\.ratio is {value!r}; wanted a finite number above 0"):
        GatedConvFeedForward(6, ratio=value)
