"""The attention of Sana and LinearSR: cost grows linearly with the number of tokens."""

from collections.abc import Callable
from typing import Self, overload

from torch import Tensor, nn

from linearsr.attention.functional import LinearState, apply_state, relu_linear_attention, sum_state
from linearsr.attention.multi_head import MultiHeadAttention
from linearsr.attention.reference import relu_linear_attention_dense
from linearsr.core.errors import ShapeError
from linearsr.core.registries import ATTENTION


@ATTENTION.register_module()
class ReLULinearAttention(MultiHeadAttention):
    """Linear attention with φ = ReLU (LinearSR, Sana). Options: qk_norm.

    Its state is a sum over tokens, so a picture may be attended to tile by tile: add the tiles' states, then apply the
    sum to each tile. A tile needs no tokens of its neighbours.
    """

    linear = True
    permutation_equivariant = True
    additive = True
    halo = 0

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return relu_linear_attention(q, k, v)

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return relu_linear_attention_dense(q, k, v)

    def state(self, x: Tensor, grid: tuple[int, int]) -> LinearState:
        """x [B, N, C]: the tokens of one tile. Returns their share of the sum."""
        return sum_state(*self.keys_values(x, grid))

    @overload
    def apply(self, x: Tensor, state: LinearState, grid: tuple[int, int]) -> Tensor: ...
    @overload
    def apply(self, x: Callable[[nn.Module], None]) -> Self: ...
    def apply(
        self,
        x: Tensor | Callable[[nn.Module], None],
        state: LinearState | None = None,
        grid: tuple[int, int] | None = None,
    ) -> Tensor | Self:
        """x [B, N, C]: the tokens of one tile; state: of the whole picture. Returns [B, N, C].

        The name is also torch's: `module.apply(function)` of a model reaches every part, and so must still work here.
        """
        if not isinstance(x, Tensor):
            return super().apply(x)
        if state is None or grid is None:
            raise ShapeError("apply(x, state, grid) was called without a state or a grid; take the state from state(x, grid)")
        queries = self.queries(x, grid)
        return self.join(apply_state(queries, state).to(queries.dtype))
