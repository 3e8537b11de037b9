"""Every hypothesis strategy of the suite. Add yours at the end of its room's part."""

import torch
from hypothesis import strategies as st

seeds = st.integers(0, 2**31 - 1)


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A standard normal tensor that depends on the seed alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
