"""What a picture in tiles holds in memory at once."""

import torch

from linearsr.core.backbones.tiling import tile_shape
from linearsr.core.costs import peak_bytes
from tests.core.backbones.test_linear_dit import dit
from tests.strategies import normal

WIDTH, TILE = 32, 16
SLACK = 1.02
"""c is of one token of a tile with its halo; states and modulations, which no tile makes larger, are in it too."""


def peak(model, tiles):
    """Bytes for preparing and one evaluation of a picture of tiles × tiles."""
    size = TILE * tiles
    z, lr = normal(0, 1, 4, size, size, dtype=torch.float32), normal(1, 1, 3, 2 * size, 2 * size, dtype=torch.float32).tanh()
    t = torch.tensor([0.5])

    def evaluate():
        with torch.no_grad():
            return model(z, t, None, None, prepared=model.prepare(lr, None, t))

    return peak_bytes(evaluate)


def test_the_peak_is_three_activations_and_a_tile_whose_share_does_not_grow_with_the_picture():
    model = dit(torch.float32, width=WIDTH, guidance_width=None)
    model.tile = tile_shape(TILE)

    def buffers(tiles):
        return 3 * (tiles * TILE) ** 2 * WIDTH * 4

    # of 2 × 2 tiles each has neighbours on two sides, of 4 × 4 the inner ones have them on all four
    c = (peak(model, 2) - buffers(2)) / (TILE + 1) ** 2
    sixteen = peak(model, 4)
    assert buffers(4) < sixteen <= buffers(4) + SLACK * c * (TILE + 2) ** 2
    model.tile = None
    assert peak(model, 4) > 1.5 * sixteen
