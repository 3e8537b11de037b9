"""Every hypothesis strategy of the suite. Add yours at the end of its room's part."""

import torch
from hypothesis import strategies as st

seeds = st.integers(0, 2**31 - 1)


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A standard normal tensor that depends on the seed alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


# configs as plain data: small alphabets, so that two of them share keys and values
_keys = st.sampled_from(["a", "b", "type"])
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.floats(allow_infinity=False, width=16), st.sampled_from(["", "x"])
)
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3))
plain_dicts = st.dictionaries(_keys, _values, max_size=3)
