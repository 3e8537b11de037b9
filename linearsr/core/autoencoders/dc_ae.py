"""The deep-compression autoencoder of Sana and LinearSR."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from typing import TYPE_CHECKING

from linearsr.core.autoencoders.dc_folder import dc_folder
from linearsr.core.autoencoders.frozen import EncoderDecoder, FrozenAutoencoder
from linearsr.core.autoencoders.tiling import blended_tiles
from linearsr.core.errors import ConfigError, MissingExtraError
from linearsr.core.registries import AUTOENCODERS
from linearsr.core.weights import load_strict

if TYPE_CHECKING:
    from torch import Tensor

OVERLAP = Fraction(1, 4)
"""Of a tile's side, shared with each neighbour: our choice."""


@AUTOENCODERS.register_module()
class DCAE(FrozenAutoencoder):
    """DC-AE (Chen et al. 2024, arXiv 2410.10733), the diffusers library's AutoencoderDC. f32c32: factor 32, 32 channels.

    The factor, the channels and the scale (0.41407 for Sana's, "scaling_factor") are those of the folder's config.json.
    Its attention looks at the whole picture, so tiles are not exact: they overlap by a quarter and are blended.

    folder: as diffusers saves an AutoencoderDC, or a pipeline with one in `vae/`; safetensors; nothing is downloaded
    dtype:  "float32", "bfloat16" (as Sana uses it), "float16" or "float64"
    device: where it runs; None: where the picture is
    tile:   side of the tiles of larger pictures, in picture pixels: a multiple of the factor, 2 or more; None: whole
    Raises MissingExtraError, WeightsError or ConfigError, before anything is loaded.
    """

    exact_tiles = False

    def __init__(self, folder: str, dtype: str = "float32", device: str | None = None, tile: int | None = None):
        who = type(self).__name__
        if find_spec("diffusers") is None:
            raise MissingExtraError(who, "diffusers", "sana")
        self.files = dc_folder(who, folder)
        super().__init__(self.files.factor, self.files.channels, self.files.scale, 0.0, tile, dtype, device)
        if self.tile == self.factor:
            raise ConfigError(
                f"autoencoder.tile is {tile}; {who} wants {2 * self.factor} or more, so that tiles can overlap; "
                "change autoencoder.tile"
            )

    def build(self) -> EncoderDecoder:
        from diffusers import AutoencoderDC

        model = AutoencoderDC.from_config(dict(self.files.config))
        load_strict(model, self.files.state_dict(), self.files.path)
        return EncoderDecoder(model.encoder, model.decoder)

    def to_latent(self, model: EncoderDecoder, image_pm1: Tensor) -> Tensor:
        if self.tile is None:
            return model.encoder(image_pm1)
        return blended_tiles(
            model.encoder, image_pm1, tile=self.tile, overlap=self.factor * self._overlap, scale=Fraction(1, self.factor)
        )

    def to_image(self, model: EncoderDecoder, latent: Tensor) -> Tensor:
        if self.tile is None:
            return model.decoder(latent)
        tile = self.tile // self.factor
        return blended_tiles(model.decoder, latent, tile=tile, overlap=self._overlap, scale=Fraction(self.factor))

    @property
    def _overlap(self) -> int:
        """In latent pixels."""
        assert self.tile is not None
        return max(int(OVERLAP * (self.tile // self.factor)), 1)
