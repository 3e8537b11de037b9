"""Between pictures and latents."""

from linearsr.core.autoencoders.pixel_shuffle import PixelShuffle, ResidualPixelShuffle

__all__ = ["PixelShuffle", "ResidualPixelShuffle"]
