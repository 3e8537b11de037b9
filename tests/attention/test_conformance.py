"""The check of an attention finds what is wrong, and passes classes that know nothing of linearsr."""

import pytest
import torch
from torch import nn

from linearsr.attention import ReLULinearAttention
from linearsr.attention.conformance import check_attention
from linearsr.attention.functional import LinearState


class WrongNormaliser(ReLULinearAttention):
    """Counts one key too many."""

    def mix(self, q, k, v, grid):
        weights = q.relu() @ k.relu().mT
        return weights @ v / (weights.sum(-1, keepdim=True) + k.relu()[:, :, :1].sum(-1, keepdim=True) + 1e-15)


class WrongGradient(ReLULinearAttention):
    """Right values, but the normaliser is held constant."""

    def mix(self, q, k, v, grid):
        weights = q.relu() @ k.relu().mT
        return weights @ v / (weights.sum(-1, keepdim=True) + 1e-15).detach()


class LeakingBatch(ReLULinearAttention):
    def forward(self, x, grid):
        return super().forward(x - x.mean(0), grid)


class Undecided(ReLULinearAttention):
    def forward(self, x, grid):
        return super().forward(x + 1e-6 * torch.randn_like(x), grid)


class DeadGradient(ReLULinearAttention):
    """Learns something that it never uses."""

    def __init__(self, dim, num_heads):
        super().__init__(dim, num_heads)
        self.scale = nn.Parameter(torch.ones(dim))


class KnowsWhereItIs(ReLULinearAttention):
    def forward(self, x, grid):
        return super().forward(x * torch.linspace(1, 2, x.shape[1], dtype=x.dtype)[:, None], grid)


class KnowsItsGrid(ReLULinearAttention):
    def forward(self, x, grid):
        return super().forward(x, grid) * (1 + grid[0])


class MeansInsteadOfSums(ReLULinearAttention):
    """The state of a tile forgets how many tokens it had."""

    def state(self, x, grid):
        state = super().state(x, grid)
        return LinearState(state.key_values / state.tokens, state.keys / state.tokens, 1)


class OneTileAtATime(ReLULinearAttention):
    """Each tile attends to itself."""

    def apply(self, x, state=None, grid=None):
        return self(x, grid) if isinstance(x, torch.Tensor) else super().apply(x)


class HidesTorchsApply(ReLULinearAttention):
    def apply(self, x, state=None, grid=None):
        return super().apply(x, state, grid) if isinstance(x, torch.Tensor) else None


class NotLinearAtAll(ReLULinearAttention):
    def mix(self, q, k, v, grid):
        return self.mix_dense(q, k, v, grid)


class SumsInFloat16(ReLULinearAttention):
    def mix(self, q, k, v, grid):
        total = k.relu().mT @ v
        return q.relu() @ total / (q.relu() @ k.relu().sum(-2).unsqueeze(-1) + 1e-15)


class FlagIsAString(ReLULinearAttention):
    linear = "yes"


class DropsATail(ReLULinearAttention):
    """Works on pairs of tokens."""

    def forward(self, x, grid):
        return super().forward(x, grid)[:, : max(x.shape[1] // 2 * 2, 2)]


class ForgetsItsFeatures(ReLULinearAttention):
    """What was drawn at the start is in no state dict."""

    def __init__(self, dim, num_heads):
        super().__init__(dim, num_heads)
        self.mirror = torch.randn(dim).sign()

    def forward(self, x, grid):
        return super().forward(x * self.mirror.to(x), grid)


class ChangesItsInput(ReLULinearAttention):
    def forward(self, x, grid):
        if not x.requires_grad:
            x -= x.mean(1, keepdim=True)
        return super().forward(x, grid)


class TruncatesToFloat32(ReLULinearAttention):
    def forward(self, x, grid):
        return super().forward(x.float().to(x.dtype), grid).float()


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (WrongNormaliser, "forward is forward_dense on 5×3"),
        (WrongGradient, "gradients are those of forward_dense on 5×3"),
        (WrongGradient, "finite differences"),
        (LeakingBatch, "does not depend on its batch"),
        (Undecided, "the same input gives the same output"),
        (DeadGradient, "every parameter gets a finite gradient"),
        (KnowsWhereItIs, "moved tokens"),
        (KnowsItsGrid, "moved tokens"),
        (MeansInsteadOfSums, "sum of the tiles' states"),
        (OneTileAtATime, "sum of the tiles' states"),
        (HidesTorchsApply, "module.apply(function)"),
        (NotLinearAtAll, "twice the tokens"),
        (SumsInFloat16, "float16"),
        (FlagIsAString, "True or False"),
        (DropsATail, "as many tokens out, on 1×7"),
        (ForgetsItsFeatures, "a state dict"),
        (ChangesItsInput, "left alone"),
        (TruncatesToFloat32, "finite differences"),
    ],
)
def test_a_broken_attention_is_told_which_law_it_breaks(broken, law):
    report = check_attention(broken)
    assert any(law in finding.law for finding in report.failed), str(report)


@pytest.mark.parametrize(
    ("broken", "innocent"), [(NotLinearAtAll, 1), (HidesTorchsApply, 1), (DeadGradient, 1), (FlagIsAString, 1)]
)
def test_laws_that_are_kept_are_not_blamed(broken, innocent):
    assert len(check_attention(broken).failed) == innocent


class MeanOfAll(nn.Module):
    """A third party's: torch only, no twin, parameters that start at zero."""

    linear, permutation_equivariant, additive = True, True, False

    def __init__(self, dim, *, depth=1):
        super().__init__()
        self.out = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))
        for part in self.out:
            nn.init.zeros_(part.weight)

    def forward(self, x, grid):
        for part in self.out:
            x = x + part(x.mean(1, keepdim=True).expand_as(x))
        return x


def test_a_class_that_knows_nothing_of_linearsr_passes_and_keeps_its_options():
    report = check_attention(MeanOfAll, {"depth": 2}).require()
    assert report.findings[0].detail == f"{2 * (16 * 16 + 16)} parameters"
    assert {f.law for f in report.findings if f.status == "skipped"} >= {"forward is forward_dense on 5×3 tokens"}


def test_a_class_that_does_not_build_is_told_why_and_tried_no_further():
    report = check_attention(MeanOfAll, {"deptth": 2})
    assert [finding.law for finding in report.findings] == ["builds a torch module from what the model supplies"]
    assert "deptth" in report.failed[0].detail


def test_a_function_is_no_module():
    report = check_attention(lambda dim: lambda x, grid: x)
    assert "wanted a torch.nn.Module" in report.failed[0].detail


def test_a_halo_is_left_untried_and_said_so():
    class Wider(ReLULinearAttention):
        halo = 1

    (finding,) = [f for f in check_attention(Wider).findings if "tiles" in f.law]
    assert finding.status == "skipped"
    assert "halo is 1" in finding.detail


def test_the_check_leaves_global_randomness_alone():
    torch.manual_seed(3)
    check_attention(MeanOfAll)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))
