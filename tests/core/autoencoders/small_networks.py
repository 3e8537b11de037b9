"""Autoencoders with few random weights, on disk in the layouts of the published ones."""

from pathlib import Path

import torch

from linearsr.core.autoencoders import tiny_layers


def write_taesd(folder: Path, *, channels: int = 6, width: int = 8, whole_picture: bool = True) -> dict[str, str]:
    """Options of a TinyAutoencoder."""
    torch.manual_seed(0)
    paths = {name: folder / f"{name}.pth" for name in ("encoder", "decoder")}
    torch.save(tiny_layers.encoder(channels, width, whole_picture).state_dict(), paths["encoder"])
    torch.save(tiny_layers.decoder(channels, width, whole_picture).state_dict(), paths["decoder"])
    return {name: str(path) for name, path in paths.items()}


def small_dc(scaling_factor: float = 0.41407):
    """Six stages as in f32c32, so factor 32; attention in the last three."""
    from diffusers import AutoencoderDC

    torch.manual_seed(0)
    widths, types = (8, 8, 16, 16, 32, 32), ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3
    return AutoencoderDC(
        latent_channels=8,
        attention_head_dim=8,
        encoder_block_types=types,
        decoder_block_types=types,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        encoder_layers_per_block=(1,) * 6,
        decoder_layers_per_block=(1,) * 6,
        scaling_factor=scaling_factor,
    ).eval()
