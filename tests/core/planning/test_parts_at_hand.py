"""What is planned elsewhere than it will run."""

import pytest
import torch

from linearsr.core.errors import ConfigError
from linearsr.core.planning.parts_at_hand import ready_to_build
from linearsr.core.registries import GUIDANCE
from linearsr.core.tensor_values import require_device


class Placed:
    """A guidance with a network of its own, on a device of its own."""

    width, source, cacheable = 24, "lr", True

    def __init__(self, parts, device="cpu"):
        self.device = require_device(device, "guidance.device")
        self.parts = [GUIDANCE.build(part) for part in parts]

    __call__ = null = None


def test_the_devices_of_parts_need_not_be_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    part = {"type": f"{__name__}.Placed", "parts": [], "device": "cuda"}
    guidance = part | {"parts": [part]}
    with pytest.raises(ConfigError, match="torch sees no CUDA devices"):
        GUIDANCE.build(guidance)
    model = {"autoencoder": {"type": "PixelShuffle"}, "upscale": 4, "guidance": guidance}
    ready, notes = ready_to_build(model, tokens=5)
    assert ready["guidance"]["width"] == 24
    assert not any("cannot be built" in note for note in notes)
    assert guidance["device"] == "cuda"
