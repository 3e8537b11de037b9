"""Attention that grows otherwise than it declares."""

import torch

from linearsr.attention import SoftmaxAttention
from linearsr.attention.functional import linear_attention, relu_linear_attention
from tests.attention.broken import Plain


class QuadraticFLOPs(SoftmaxAttention):
    """Fused: little memory, but all products."""

    linear = True


class PairsInPlace(torch.autograd.Function):
    """ReLU linear attention from every pair of tokens, a block of queries at a time, by products that add to what is there."""

    block = 64

    @staticmethod
    def forward(ctx, q, k, v):
        ctx.save_for_backward(q, k, v)
        wide = torch.promote_types(q.dtype, torch.float32)
        keys, counted = (part.to(wide).flatten(0, 1) for part in (k.relu(), torch.cat([v, torch.ones_like(v[..., :1])], -1)))
        out = []
        for queries in q.relu().to(wide).flatten(0, 1).split(PairsInPlace.block, dim=1):
            pairs = keys.new_zeros(len(keys), queries.shape[1], keys.shape[1]).baddbmm_(queries, keys.mT)
            sums = keys.new_zeros(len(keys), queries.shape[1], counted.shape[2]).baddbmm_(pairs, counted)
            out.append(sums[..., :-1] / (sums[..., -1:] + 1e-15))
        return torch.cat(out, 1).view_as(v).to(v)

    @staticmethod
    def backward(ctx, gradient):
        leaves = [part.detach().requires_grad_() for part in ctx.saved_tensors]
        with torch.enable_grad():
            return torch.autograd.grad(relu_linear_attention(*leaves), leaves, gradient)


class QuadraticFLOPsInPlace(Plain):
    """Little memory, linear gradients, and products that torch's own counter does not see."""

    def mix(self, q, k, v, grid):
        return PairsInPlace.apply(q, k, v)


class QuadraticWhenRestoring(Plain):
    """Without gradients it takes another road."""

    def mix(self, q, k, v, grid):
        if torch.is_grad_enabled():
            return super().mix(q, k, v, grid)
        return PairsInPlace.apply(q, k, v)


class QuadraticMemory(Plain):
    """Few products, but a number for every pair of tokens: keys are scaled by the largest product of norms."""

    def mix(self, q, k, v, grid):
        pairs = q.norm(dim=-1).unsqueeze(-1) * k.norm(dim=-1).unsqueeze(-2)
        scale = pairs.amax((-1, -2), keepdim=True) + 1
        return linear_attention(q.relu(), (k / scale).relu() * scale, v)


class QuadraticInAll(Plain):
    def mix(self, q, k, v, grid):
        return self.mix_dense(q, k, v, grid)
