"""Any picture size becomes a legal one by padding below and to the right, and is cut back afterwards."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """[B, C, H, W] -> sides rounded up to `multiple` pixels, by repeating the last row and column."""
    down, right = (-side % multiple for side in image.shape[-2:])
    return F.pad(image, (0, right, 0, down), mode="replicate") if down or right else image
