"""Additive attentions whose tiles are wrong in one way each, and one with a halo that is right."""

import torch
from torch import nn

from linearsr.attention import ReLULinearAttention


class MeansInsteadOfSums(ReLULinearAttention):
    """The state of a tile forgets how many tokens it had."""

    def state(self, x, grid):
        state = super().state(x, grid)
        return type(state)(state.key_values / state.tokens, state.keys / state.tokens, 1)


class OneTileAtATime(ReLULinearAttention):
    """Each tile attends to itself."""

    def attend(self, x, state, grid):
        return self(x, grid)


class HidesTorchsApply(ReLULinearAttention):
    def apply(self, x, state=None, grid=None):
        return super().apply(x, state, grid) if isinstance(x, torch.Tensor) else None


class HaloUnsaid(ReLULinearAttention):
    halo = None


class Local(ReLULinearAttention):
    """Conforms: tokens are mixed with their neighbours' before anything else, so tiles need a margin."""

    permutation_equivariant = False
    halo, reach = 1, 1

    def __init__(self, dim, num_heads):
        super().__init__(dim, num_heads)
        self.local = nn.Conv2d(dim, dim, 2 * self.reach + 1, padding=self.reach, groups=dim)

    def blurred(self, x, grid):
        self.check(x, grid)
        return self.local(x.mT.unflatten(2, grid)).flatten(2).mT

    def split(self, x, grid):
        return super().split(self.blurred(x, grid), grid)

    def queries(self, x, grid):
        return super().queries(self.blurred(x, grid), grid)

    def keys_values(self, x, grid):
        return super().keys_values(self.blurred(x, grid), grid)


class HaloTooSmall(Local):
    halo, reach = 1, 2


class CountsItsMargin(Local):
    def state(self, x, grid, margin=(0, 0, 0, 0)):
        return super().state(x, grid)
