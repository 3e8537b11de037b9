"""A small autoencoder of the TAESD family."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from linearsr.core.autoencoders import tiny_layers
from linearsr.core.autoencoders.frozen import EncoderDecoder, FrozenAutoencoder
from linearsr.core.errors import WeightsError
from linearsr.core.registries import AUTOENCODERS
from linearsr.core.weights import load_strict, read_state_dict
from linearsr.core.weights.wanted import require_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor, nn


@AUTOENCODERS.register_module()
class TinyAutoencoder(FrozenAutoencoder):
    """TAESD (madebyollin/taesd, MIT), factor 8, as its .pth files are published: taesd, taesdxl, taesd3, taef1, taef2.

    Channels and width come from the files. Tiles are exact: each is read with as much around it as its outputs look at, and
    the blocks that take statistics over the whole picture (in taef2) run whole, on the latent grid.

    encoder, decoder: paths of the two files, .pth or .safetensors
    scale, shift: see FrozenAutoencoder; the defaults are those of taef2's latents of photos
    tile:   side without what is read around it, 72 picture pixels on each side for taef2; a multiple of 8; None: whole
    Raises WeightsError for files that are missing, damaged, or of another layout.
    """

    def __init__(
        self,
        encoder: str,
        decoder: str,
        scale: float = 1.2,
        shift: float = 0.0,
        tile: int | None = None,
        dtype: str = "float32",
        device: str | None = None,
    ):
        who = type(self).__name__
        self.encoder_file = require_file(who, encoder, "autoencoder.encoder")
        self.decoder_file = require_file(who, decoder, "autoencoder.decoder")
        channels = _last_convolution(read_state_dict(self.encoder_file), self.encoder_file).shape[0]
        super().__init__(tiny_layers.FACTOR, channels, scale, shift, tile, dtype, device)

    def build(self) -> EncoderDecoder:
        model = EncoderDecoder(
            self._network(tiny_layers.encoder, self.encoder_file), self._network(tiny_layers.decoder, self.decoder_file)
        )
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on a CPU

    def to_latent(self, model: EncoderDecoder, image_pm1: Tensor) -> Tensor:
        image_01 = (image_pm1 + 1) / 2
        if self.tile is None:
            return model.encoder(image_01)
        return tiny_layers.encode_in_tiles(model.encoder, image_01, self.tile)

    def to_image(self, model: EncoderDecoder, latent: Tensor) -> Tensor:
        if self.tile is None:
            return 2 * model.decoder(latent) - 1
        return 2 * tiny_layers.decode_in_tiles(model.decoder, latent, self.tile // self.factor) - 1

    def _network(self, layout: Callable[[int, int, bool], nn.Sequential], file: Path) -> nn.Sequential:
        state = read_state_dict(file)
        network = layout(self.channels, _last_convolution(state, file).shape[1], tiny_layers.looks_at_whole_picture(state))
        load_strict(network, state, file)
        return network


def _last_convolution(state: Mapping[str, Tensor], file: Path) -> Tensor:
    """The weight [outputs, inputs, 3, 3] behind all blocks: "14.weight" of an encoder, "19.weight" of a decoder."""
    numbers = [int(name.split(".")[0]) for name in state if name.split(".")[0].isdigit()]
    weight = state.get(f"{max(numbers, default=0)}.weight")
    if weight is None or weight.ndim != 4:
        raise WeightsError(
            f"{file} is no file of the TAESD family: no convolution is last; wanted names such as 0.weight, 1.conv.0.weight"
        )
    return weight
