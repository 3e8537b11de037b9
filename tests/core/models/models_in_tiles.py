"""Small models that are restored in tiles, what that might take, and work for which memory runs out."""

import torch

from linearsr.core.models import build_model
from linearsr.core.planning.tiles import Need, area
from tests.core.autoencoders.small_networks import write_taesd
from tests.core.planning.test_rehearsal import MODELS, tiny
from tests.strategies import normal

SIZE = 40, 36
STEPS = 3
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
"""Sums over tokens in another order, as of tiles."""
KINDS = ("plain", "experts", "two answers a step")


def moved(model):
    """With weights that say something: an untrained denoiser starts at 0."""
    draw = torch.Generator().manual_seed(0)
    for parameter in model.denoiser.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    return model.eval()


def models_in(folder):
    """By name; "taesd" alone decodes in tiles too."""
    taesd = {"type": "TinyAutoencoder", **write_taesd(folder, channels=8)}
    stem = {"lr_stem": {"type": "ConvStem", "width": 8, "depth": 2}}
    described = {name: MODELS[name] for name in KINDS} | {"taesd": tiny(autoencoder=taesd, denoiser=stem)}
    return {name: moved(build_model(model)) for name, model in described.items()}


def picture(dtype=torch.float32, size=SIZE):
    return normal(1, 1, 3, *size, dtype=dtype).sigmoid()


def given_words(model):
    return None if model.guidance is None else model.guidance(picture())


def restored(model, lr, planner=None):
    before = model.memory
    model.memory = planner or before
    try:
        return model.restore(lr, STEPS, [0])
    finally:
        model.memory = before


def by_area(denoising, decoding, beside=2**20):
    """As `rehearsal_of`, by a rule instead of a rehearsal: bytes for each token and each picture pixel of a tile, and some."""

    def of(model, lr, size, num_steps, guidance):
        rows, columns = size
        tokens = rows * columns / model.lr_multiple**2
        pixels = rows * columns * model.upscale**2

        def need(tiles):
            first = int(denoising * min(area(tiles.denoiser), tokens))
            second = int(decoding * min(area(tiles.autoencoder), pixels))
            return Need(beside + first, beside + second, beside + max(first, second))

        return need

    return of
