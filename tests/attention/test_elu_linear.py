"""The feature map elu(x) + 1, and that no query is left without an answer."""

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention.elu_linear import ELULinearAttention
from tests.strategies import normal, seeds


def test_a_case_worked_by_hand():
    half = -torch.log(torch.tensor(2.0, dtype=torch.float64)).item()  # φ = 1/2
    q = torch.tensor([[1.0, half], [half, 0.0]], dtype=torch.float64).view(1, 1, 2, 2)  # φ: (2, 1/2), (1/2, 1)
    k = torch.tensor([[0.0, 3.0], [half, half]], dtype=torch.float64).view(1, 1, 2, 2)  # φ: (1, 4), (1/2, 1/2)
    v = torch.tensor([[8.0], [-4.0]], dtype=torch.float64).view(1, 1, 2, 1)
    # weights of the two keys: 4 and 5/4; 9/2 and 3/4
    want = torch.tensor([(4 * 8 - 5) / 5.25, (4.5 * 8 - 3) / 5.25], dtype=torch.float64).view(1, 1, 2, 1)
    torch.testing.assert_close(ELULinearAttention(2, 1).mix(q, k, v, (1, 2)), want, rtol=1e-13, atol=0)


@given(seeds, st.floats(2**-6, 2**6))
def test_features_and_their_slopes_are_elu_plus_one(seed, scale):
    x = (scale * normal(seed, 1, 1, 5, 4)).index_fill(2, torch.tensor(2), 0).requires_grad_()  # at 0 the sides meet
    got, want = ELULinearAttention(4, 1).features(x), F.elu(x) + 1
    torch.testing.assert_close(got, want, rtol=1e-15, atol=1e-15)
    slopes = [torch.autograd.grad(features.sum(), x)[0] for features in (got, want)]
    torch.testing.assert_close(*slopes, rtol=1e-15, atol=1e-15)


def test_no_row_is_dead_where_elu_plus_one_has_rounded_to_zero():
    low = torch.full((1, 1, 3, 4), -20.0)  # exp(−20) is 2e-9, far above EPS
    assert not bool((F.elu(low) + 1).any())
    v = normal(0, 1, 1, 3, 4).float()
    out = ELULinearAttention(4, 1).mix(low, torch.ones_like(low), v, (1, 3))
    torch.testing.assert_close(out, v.mean(2, keepdim=True).expand_as(v), rtol=0, atol=1e-6)  # all keys alike: float32 means
