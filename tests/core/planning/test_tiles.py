"""What is said of tiles before anything runs, and the weights that no checkpoint holds."""

from dataclasses import replace

import pytest

from linearsr.core.models import build_model
from linearsr.core.planning import DEVICES, Asked, Rehearsal, plan_config
from linearsr.core.planning.weights import shadow_copy, weight_bytes
from tests.core.autoencoders.small_networks import write_taesd
from tests.core.planning.test_rehearsal import MODELS, tiny
from tests.shipped import ROOT


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        (1e9, None),
        (3.6e7, "the denoiser in tiles of 64 tokens"),
        pytest.param(1e6, "it fits in no tiles", marks=pytest.mark.slow),  # every tile is tried: half a minute
    ],
)
def test_a_picture_too_large_for_a_device_comes_with_its_tiles(memory, said):
    device = replace(DEVICES["H100"], kind="cpu", memory=memory)
    plan = plan_config(ROOT / "configs" / "quickstart_x4.py", device, Asked((150, 100), train=False))
    tiles = plan["stages"][0]["restore"]["tiles"]
    assert tiles is None if said is None else tiles.startswith(said)


def test_an_autoencoder_that_loads_its_weights_itself_is_counted(tmp_path):
    stem = {"lr_stem": {"type": "ConvStem", "width": 8, "depth": 2}}
    model = tiny(autoencoder={"type": "TinyAutoencoder", **write_taesd(tmp_path)}, denoiser=stem)
    real = build_model(model)
    networks = sum(weight.nbytes for weight in real.autoencoder.load().parameters())
    rehearsal, own = Rehearsal(model), sum(weight.nbytes for weight in real.parameters())
    assert rehearsal.resident_bytes() == weight_bytes(real) == own + networks
    assert rehearsal.restore(16, 16, 2).memory.peak == rehearsal.restore(16, 16, 2).memory.peak  # loaded before, not in it


@pytest.mark.parametrize("name", MODELS)
def test_a_copy_of_shapes_costs_what_the_model_of_the_config_does_and_the_model_keeps_its_weights(name):
    real = build_model(MODELS[name]).eval()
    before = {key: value.clone() for key, value in real.state_dict().items()}
    guide = [] if real.guidance is None else [(real.guidance, real.guidance)]
    copied = Rehearsal(shadow_copy(real, guide)).restore(12, 20, 3)
    described = Rehearsal(MODELS[name]).restore(12, 20, 3)
    assert (copied.memory.peak, copied.peaks) == (described.memory.peak, described.peaks)
    assert all(value.equal(real.state_dict()[key]) for key, value in before.items())
