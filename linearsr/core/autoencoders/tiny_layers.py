"""The networks of the TAESD family (madebyollin/taesd, MIT): plain convolutions with ReLU, factor 8, pictures in 0..1.

The names of the weights are those of the published .pth files, so that these load as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from linearsr.core.autoencoders.tiling import exact_tiles

FACTOR = 8
LIMIT = 3.0
"""The decoder's input passes LIMIT·tanh(z/LIMIT)."""
NORM_GROUPS, NORM_WIDENING = 4, 4
"""Of the branch that looks at the whole picture, in the variant for FLUX.2."""


class SoftClamp(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(z / LIMIT) * LIMIT


class Block(nn.Module):
    """x + three 3×3 convolutions, then ReLU.

    whole_picture: first comes a branch whose GroupNorm takes its statistics over the whole picture
    """

    def __init__(self, width: int, whole_picture: bool = False):
        super().__init__()
        self.conv = nn.Sequential(_conv(width, width), nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width))
        wide = NORM_WIDENING * width
        self.pool = (
            nn.Sequential(
                nn.Conv2d(width, wide, 1, bias=False),
                nn.GroupNorm(NORM_GROUPS, wide),
                nn.ReLU(),
                nn.Conv2d(wide, width, 1, bias=False),
            )
            if whole_picture
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


def encoder(channels: int, width: int, whole_picture: bool) -> nn.Sequential:
    """image_01 [B, 3, 8h, 8w] -> [B, channels, h, w]; whole_picture: in the blocks on the latent grid."""
    return nn.Sequential(
        _conv(3, width), Block(width),
        _halved(width), *_blocks(width),
        _halved(width), *_blocks(width),
        _halved(width), *_blocks(width, whole_picture),
        _conv(width, channels),
    )  # fmt: skip


def decoder(channels: int, width: int, whole_picture: bool) -> nn.Sequential:
    """The way back; its input is bounded softly to −3..3, its output about 0..1, not clamped."""
    return nn.Sequential(
        SoftClamp(), _conv(channels, width), nn.ReLU(), *_blocks(width, whole_picture),
        *_doubled(width), *_blocks(width),
        *_doubled(width), *_blocks(width),
        *_doubled(width), Block(width), _conv(width, 3),
    )  # fmt: skip


def looks_at_whole_picture(state: Mapping[str, Tensor]) -> bool:
    return any(".pool." in name for name in state)


def reach(layers: Sequence[nn.Module]) -> int:
    """How many input pixels beyond its own an output looks at, on the side where they are more."""
    pixels = 0
    for layer in reversed(layers):
        if isinstance(layer, nn.Upsample):
            pixels = -(-pixels // 2)
        elif isinstance(layer, nn.Conv2d):
            pixels = pixels * layer.stride[0] + layer.kernel_size[0] // 2
        elif isinstance(layer, Block):
            pixels += reach(list(layer.conv))
    return pixels


def encode_in_tiles(network: nn.Module, image_01: Tensor, tile: int) -> Tensor:
    """`network(image_01)`; what lies before the first block that looks at the whole picture is done tile by tile."""
    layers = list(network.children())
    first = next((i for i, layer in enumerate(layers) if _is_global(layer)), len(layers))
    local = nn.Sequential(*layers[:first])
    halo = -(-reach(layers[:first]) // FACTOR) * FACTOR
    return nn.Sequential(*layers[first:])(exact_tiles(local, image_01, tile=tile, halo=halo, scale=Fraction(1, FACTOR)))


def decode_in_tiles(network: nn.Module, latent: Tensor, tile: int) -> Tensor:
    """`network(latent)`; what lies behind the last block that looks at the whole picture is done tile by tile.

    tile: in latent pixels
    """
    layers = list(network.children())
    last = max((i + 1 for i, layer in enumerate(layers) if _is_global(layer)), default=0)
    local = nn.Sequential(*layers[last:])
    latent = nn.Sequential(*layers[:last])(latent)
    return exact_tiles(local, latent, tile=tile, halo=reach(layers[last:]), scale=Fraction(FACTOR))


def _is_global(layer: nn.Module) -> bool:
    return isinstance(layer, Block) and layer.pool is not None


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _halved(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False)


def _doubled(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1, bias=False)


def _blocks(width: int, whole_picture: bool = False) -> list[Block]:
    return [Block(width, whole_picture) for _ in range(3)]
