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

# routing: boundaries that stay apart in float32 and under a shift, and times that may be anything in 0..1
boundary_lists = st.lists(st.integers(1, 999), max_size=8, unique=True).map(lambda ks: [k / 1000 for k in sorted(ks)])
time_lists = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@st.composite
def anchors_in_ranges(draw: st.DrawFn) -> tuple[float, tuple[float, float]]:
    """(anchor, (low, high)) of times, with at least 0.02 between them."""
    low, anchor, high = sorted(draw(st.lists(st.integers(1, 49), min_size=3, max_size=3, unique=True)))
    return anchor / 50, (low / 50, high / 50)


# validation curves: multiples of 2⁻²⁰, so that factors 2^k and whole offsets are exact and change no comparison
_grid = 2.0**-20


@st.composite
def validation_curves(draw: st.DrawFn, metrics: int = 1) -> list[list[float]]:
    """[up to 40 evaluations][metrics], higher is better: a rise, a plateau, losses or a second rise, with noise."""
    noise = draw(st.sampled_from([0.0, 0.01, 0.05]))
    knee, turn = draw(st.integers(2, 14)), draw(st.integers(10, 30))
    after = draw(st.sampled_from([-0.5, 0.0, 0.4]))
    errors = normal(draw(seeds), draw(st.integers(1, 40)), metrics)
    rows = []
    for i, row in enumerate(errors.tolist()):
        level = 1 - 0.05 ** (i / knee) + after * (i > turn) * (1 + i % 3) / 3
        rows.append([round((level + noise * error) / _grid) * _grid for error in row])
    return rows


# texts: any Unicode, and few words, so that two of a list are sometimes the same
_texts = st.one_of(st.text(max_size=20), st.lists(st.sampled_from(["a", "cat", "dog", "猫", " "]), max_size=6).map(" ".join))
unicode_texts = st.lists(_texts, min_size=1, max_size=4)
token_lengths = st.lists(st.integers(1, 9), min_size=1, max_size=6)

# classes of a tagger: few words, so that some names are others' synonyms, plurals or last words
_class_words = st.sampled_from(["cat", "cats", "car", "sports", "sport", "tabby", "Box", "boxes", "red", "猫"])
_lemmas = st.lists(_class_words, min_size=1, max_size=3).map(" ".join)
class_names = st.lists(st.lists(_lemmas, min_size=1, max_size=2).map(", ".join), max_size=8)

# tags as people write them: any Unicode but separators and white space at the ends
tag_names = (
    st.text(st.characters(codec="utf-8", exclude_characters=",\r\n"), min_size=1)
    .map(lambda text: " ".join(text.split()))
    .filter(bool)
)

# classifier-free guidance: scales, and intervals of t whose ends are apart
scales = st.floats(0, 10)
time_intervals = st.lists(st.integers(0, 100), min_size=2, max_size=2, unique=True).map(
    lambda ends: (min(ends) / 100, max(ends) / 100)
)
