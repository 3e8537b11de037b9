"""Between pictures and latents."""

from linearsr.core.autoencoders.dc_ae import DCAE
from linearsr.core.autoencoders.pixel_shuffle import PixelShuffle, ResidualPixelShuffle
from linearsr.core.autoencoders.tiny_ae import TinyAutoencoder

__all__ = ["DCAE", "PixelShuffle", "ResidualPixelShuffle", "TinyAutoencoder"]
