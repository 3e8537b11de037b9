"""Attentions that are wrong in one way each, for the check to find."""

import torch
from torch import nn

from linearsr.attention.feature_map import FeatureMapAttention
from linearsr.attention.functional import relu_linear_attention
from linearsr.attention.multi_head import MultiHeadAttention
from linearsr.attention.reference import relu_linear_attention_dense


class Plain(MultiHeadAttention):
    """ReLU linear attention, right in everything, which declares no tiles."""

    linear, permutation_equivariant = True, True

    def mix(self, q, k, v, grid):
        return relu_linear_attention(q, k, v)

    def mix_dense(self, q, k, v, grid):
        return relu_linear_attention_dense(q, k, v)


class WrongNormaliser(Plain):
    """Counts a key more than there are."""

    def mix(self, q, k, v, grid):
        return relu_linear_attention(q, k, v) * (k.shape[2] / (k.shape[2] + 1))


class WrongGradient(Plain):
    """Right values, but the normaliser is held constant."""

    def mix(self, q, k, v, grid):
        q, k = q.relu().to(torch.promote_types(q.dtype, torch.float32)), k.relu()
        keys = k.sum(2).unsqueeze(-1).to(q)
        return (q @ (k.mT.to(q) @ v.to(q)) / (q @ keys + 1e-15).detach()).to(v)


class LeakingBatch(Plain):
    def split(self, x, grid):
        return super().split(x - x.mean(0, keepdim=True), grid)


class LeakingHead(Plain):
    """Keys of all heads in every head."""

    def mix(self, q, k, v, grid):
        return super().mix(q, k + k.mean(1, keepdim=True), v, grid)

    def mix_dense(self, q, k, v, grid):
        return super().mix_dense(q, k + k.mean(1, keepdim=True), v, grid)


class Undecided(Plain):
    def split(self, x, grid):
        return super().split(x + 1e-6 * torch.randn_like(x), grid)


class RemembersTheFirst(Plain):
    """Keeps the mean of the first picture that came on a grid, and takes it from all others."""

    def __init__(self, dim, num_heads):
        super().__init__(dim, num_heads)
        self.seen = {}

    def split(self, x, grid):
        mean = self.seen.setdefault(frozenset(grid), x.detach().mean((0, 1)))
        return super().split(x - mean.to(x), grid)


class DeadGradient(Plain):
    """Learns something that it never uses."""

    def __init__(self, dim, num_heads):
        super().__init__(dim, num_heads)
        self.scale = nn.Parameter(torch.ones(dim))


class ForgetsItsFeatures(Plain):
    """What was drawn at the start is in no state dict."""

    def __init__(self, dim, num_heads):
        super().__init__(dim, num_heads)
        self.mirror = torch.randn(dim).sign()

    def split(self, x, grid):
        return super().split(x * self.mirror.to(x), grid)


class OneCopyForAll(Plain):
    """A copy, as of an average of the weights, is the thing itself."""

    def __deepcopy__(self, memo):
        return self


class DoesNotPickle(Plain):
    def __init__(self, dim, num_heads):
        super().__init__(dim, num_heads)
        self.phi = lambda x: x


class ChangesItsInput(Plain):
    def split(self, x, grid):
        if not x.requires_grad:
            x.abs_()
        return super().split(x.abs(), grid)


class WantsItContiguous(Plain):
    def split(self, x, grid):
        return super().split(x.view(-1).view(x.shape), grid)


class AnswersAnEmptyBatch(Plain):
    def check(self, x, grid):
        if len(x):
            super().check(x, grid)

    def mix(self, q, k, v, grid):
        return super().mix(q, k, v, grid) if len(q) else v


class AnswersOnAnyGrid(Plain):
    def check(self, x, grid):
        super().check(x, (1, x.shape[1]))


class NoEps(Plain):
    """0/0 for a query without features."""

    def mix(self, q, k, v, grid):
        q, k, v = (part.to(torch.promote_types(part.dtype, torch.float32)) for part in (q.relu(), k.relu(), v))
        return self.divided(q @ (k.mT @ v), q @ k.sum(2).unsqueeze(-1)).to(self.proj.weight)

    def divided(self, numerator, denominator):
        return numerator / denominator


class NoEpsInTheGradient(NoEps):
    """The quotient is replaced where it is NaN; its gradient is not."""

    def divided(self, numerator, denominator):
        return torch.where(denominator > 0, numerator / denominator, 0)


class SumsInFloat16(Plain):
    """In the type of the values, of which only the quotient would fit."""

    eps = 1e-3  # whose inverse is a float16, so that dead rows are no concern here

    def mix(self, q, k, v, grid):
        total, keys = k.relu().mT @ v, k.relu().sum(2).unsqueeze(-1)
        wide = torch.promote_types(q.dtype, torch.float32)
        return ((q.relu() @ total).to(wide) / ((q.relu() @ keys).to(wide) + self.eps)).to(v)

    def mix_dense(self, q, k, v, grid):
        weights = q.relu() @ k.relu().mT
        return weights @ v / (weights.sum(-1, keepdim=True) + self.eps)


class CountsInBfloat16(Plain):
    """One token after the other, which stalls where a term is less than a rounding of the sum: finite, and wrong."""

    def mix(self, q, k, v, grid):
        if q.dtype != torch.bfloat16:
            return super().mix(q, k, v, grid)
        total, counted = 0, torch.cat([v, torch.ones_like(v[..., :1])], -1)
        for key, value in zip(k.relu().split(1, 2), counted.split(1, 2), strict=True):
            total = total + key.mT @ value
        sums = q.relu().float() @ total.float()
        return (sums[..., :-1] / (sums[..., -1:] + 1e-15)).to(v)


class UnboundedFeatures(FeatureMapAttention):
    """exp without its largest taken off."""

    def features(self, x):
        return x.to(torch.promote_types(x.dtype, torch.float32)).exp()


class OtherwiseWhenCompiled(Plain):
    """The compiled road leaves the normaliser out."""

    def mix(self, q, k, v, grid):
        if torch.compiler.is_compiling():
            return q.relu() @ (k.relu().mT @ v)
        return super().mix(q, k, v, grid)


class RoundedAtRandom(torch.autograd.Function):
    """The identity, whose gradient is rounded up or down at random, as for storage in few bits."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 + 1e-7 * torch.rand_like(gradient))


class MeanOfAll(nn.Module):
    """A third party's: torch only, no twin, parameters that start at zero."""

    linear, permutation_equivariant, additive = True, True, False

    def __init__(self, dim, *, depth=1):
        super().__init__()
        self.out = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))
        for part in self.out:
            nn.init.zeros_(part.weight)

    def forward(self, x, grid):
        if not len(x) or x.shape[1] != grid[0] * grid[1]:
            raise ValueError(f"{tuple(x.shape)} tokens do not fill {grid}")
        for part in self.out:
            x = x + part(x.mean(1, keepdim=True).expand_as(x))
        return x


class DrawsInTheBackwardPass(MeanOfAll):
    """From the random state of the whole process: no two backward passes are the same."""

    def forward(self, x, grid):
        return super().forward(RoundedAtRandom.apply(x), grid)


class KnowsWhereItIs(Plain):
    def split(self, x, grid):
        return super().split(x * torch.linspace(1, 2, x.shape[1], dtype=x.dtype)[:, None], grid)


class KnowsItsGrid(Plain):
    def split(self, x, grid):
        return super().split(x * (1 + grid[0] / (1 + grid[1])), grid)


class FlagIsAString(Plain):
    linear = "yes"


class DropsATail(Plain):
    """Works on pairs of tokens."""

    def join(self, heads):
        return super().join(heads)[:, : max(heads.shape[2] // 2 * 2, 2)]


class TruncatesToFloat32(Plain):
    def forward(self, x, grid):
        return super().forward(x.float().to(x.dtype), grid).float()
