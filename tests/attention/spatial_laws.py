"""What attentions that look at the grid have in common: slow twins, tiles with a margin, heads that stand alone."""

import torch
from hypothesis import strategies as st

from tests.strategies import normal

sides = st.integers(1, 11)


def layer(cls, dim=8, num_heads=2, **options):
    """In float64, as the seed 0 draws it."""
    torch.manual_seed(0)
    return cls(dim, num_heads, **options).double()


def error_of_twin(attention, grid, seed):
    """Of `forward` and its gradients against `forward_dense`, the largest difference, of the largest value of each kind."""
    x = normal(seed, 2, grid[0] * grid[1], attention.dim).requires_grad_()
    towards, leaves = normal(seed + 1, *x.shape), [x, *attention.parameters()]
    fast, slow = attention(x, grid), attention.forward_dense(x, grid)
    got, want = (torch.autograd.grad((out * towards).sum(), leaves, materialize_grads=True) for out in (fast, slow))
    largest = max(gradient.abs().max() for gradient in want)
    slopes = max((one - other).abs().max() / largest for one, other in zip(got, want, strict=True))
    return max((fast - slow).abs().max() / slow.abs().max(), slopes).item()


def spans(data, size):
    """Cuts 0..size at random, ragged: [(start, stop), …]."""
    cuts = sorted(data.draw(st.sets(st.integers(1, size - 1), max_size=3))) if size > 1 else []
    return list(zip([0, *cuts], [*cuts, size], strict=True))


@torch.no_grad()
def error_of_tiles(attention, picture, rows, columns):
    """picture [B, H, W, C]; rows, columns: spans. The largest difference to the whole, of the largest output.

    A tile is handed over with as much of its halo as the picture has, and the outputs there are cut off.
    """
    height, width = picture.shape[1:3]
    whole = attention(picture.flatten(1, 2), (height, width)).unflatten(1, (height, width))
    tiles = []
    for top, bottom in rows:
        for left, right in columns:
            above, before = min(top, attention.halo), min(left, attention.halo)
            below, after = min(height - bottom, attention.halo), min(width - right, attention.halo)
            tokens = picture[:, top - above : bottom + below, left - before : right + after]
            margin = (above, below, before, after)
            tiles.append((tokens.flatten(1, 2), tuple(tokens.shape[1:3]), margin, (top, bottom, left, right)))
    first, *others = [attention.state(tokens, grid, margin) for tokens, grid, margin, _ in tiles]
    total = sum(others, start=first)
    assert total.tokens == height * width
    joined = torch.full_like(whole, torch.nan)
    for tokens, grid, (above, _, before, _), (top, bottom, left, right) in tiles:
        out = attention.apply(tokens, total, grid).unflatten(1, grid)
        own = out[:, above : above + bottom - top, before : before + right - left]
        joined[:, top:bottom, left:right] = own
    return ((joined - whole).abs().max() / whole.abs().max()).item()


def heads_that_see(attention, grid=(4, 5)):
    """bool [outputs' heads, inputs' heads]: changes of q, k, v of a head that reach a head of `mix`."""
    heads, width = attention.num_heads, attention.dim // attention.num_heads
    inputs = [normal(seed, 1, heads, grid[0] * grid[1], width).requires_grad_() for seed in range(3)]
    out = attention.mix(*inputs, grid)
    rows = [torch.autograd.grad(out[:, head].square().sum(), inputs, retain_graph=True) for head in range(out.shape[1])]
    return torch.stack([sum(gradient.abs().sum((0, 2, 3)) for gradient in row) > 0 for row in rows])
