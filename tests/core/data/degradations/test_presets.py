"""The presets are METHOD's table, and 10,000 draws from each have its frequencies and ranges.

Seeds are fixed. A frequency may lie 5 binomial deviations from its probability; among about 100 of them one does by chance
for one choice of seeds in 20,000. Extremes of a uniform range over n draws lie within 15/n of its ends (e⁻¹⁵ otherwise).
"""

import math
from functools import cache

import numpy as np
import pytest

from linearsr.core.data.degradations import PRESETS, draw_settings, preset
from linearsr.core.data.degradations.settings import FAMILIES
from linearsr.core.errors import ConfigError

DRAWS = 10_000
TABLE = {
    "blur_sigma_1": ((0.2, 1.5), (0.2, 3), (0.2, 3)),
    "blur_sigma_2": ((0.2, 1.0), (0.2, 1.5), (0.2, 1.5)),
    "beta_gaussian": ((0.5, 2), (0.5, 4), (0.5, 4)),
    "beta_plateau": ((1, 1.5), (1, 2), (1, 2)),
    "resize_1": ((0.3, 1.5), (0.3, 1.5), (0.15, 1.5)),
    "resize_2": ((0.6, 1.2), (0.6, 1.2), (0.3, 1.2)),
    "gaussian_noise_1": ((1, 15), (1, 15), (1, 30)),
    "gaussian_noise_2": ((1, 12), (1, 12), (1, 25)),
    "poisson_noise_1": ((0.05, 2), (0.05, 2), (0.05, 3)),
    "poisson_noise_2": ((0.05, 1), (0.05, 1), (0.05, 2.5)),
    "jpeg_1": ((60, 95), (60, 95), (30, 95)),
    "jpeg_2": ((60, 100), (60, 100), (30, 95)),
    "second_blur": (0.5, 0.5, 0.8),
}
"""METHOD.md §7, column by column."""

NAMES = ("StableSR", "SeeSR", "SeeSRPaired")


@cache
def drawn(name: str):
    return [draw_settings(PRESETS[name], np.random.default_rng(seed)) for seed in range(DRAWS)]


def near(share: float, probability: float, count: int) -> bool:
    return abs(share - probability) <= 5 * math.sqrt(probability * (1 - probability) / count)


def spans(values, low: float, high: float) -> bool:
    values = np.array(values)
    slack = (high - low) * 15 / len(values)
    return low <= values.min() <= low + slack and high - slack <= values.max() <= high


def test_the_presets_are_the_table() -> None:
    assert tuple(PRESETS) == NAMES
    for field, columns in TABLE.items():
        for name, value in zip(NAMES, columns, strict=True):
            assert getattr(PRESETS[name], field) == value, (name, field)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stage", ["first", "second"])
def test_kernel_families_have_their_frequencies(name: str, stage: str) -> None:
    blurs = [blur for settings in drawn(name) if (blur := getattr(settings, stage).blur) is not None]
    plain = [blur for blur in blurs if blur.family != "sinc"]
    assert near(1 - len(plain) / len(blurs), 0.1, len(blurs))
    for family, probability in zip(FAMILIES, (0.45, 0.25, 0.12, 0.03, 0.12, 0.03), strict=True):
        assert near(sum(blur.family == family for blur in plain) / len(plain), probability, len(plain)), family
    for size in range(7, 22, 2):
        assert near(sum(blur.size == size for blur in blurs) / len(blurs), 1 / 8, len(blurs)), size


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_of_blurs_span_their_ranges(name: str) -> None:
    first, second = ([getattr(s, stage).blur for s in drawn(name)] for stage in ("first", "second"))
    assert near(sum(blur is not None for blur in second) / DRAWS, PRESETS[name].second_blur, DRAWS)
    for blurs, sigma in ((first, PRESETS[name].blur_sigma_1), (second, PRESETS[name].blur_sigma_2)):
        plain = [blur for blur in blurs if blur is not None and blur.family != "sinc"]
        assert spans([blur.sigma[0] for blur in plain], *sigma)
        aniso = [blur for blur in plain if blur.family.endswith("aniso")]
        assert spans([blur.sigma[1] for blur in aniso], *sigma)
        assert spans([blur.angle for blur in aniso], -math.pi, math.pi)
        along, across = np.array([blur.sigma for blur in aniso]).T
        assert abs(np.corrcoef(along, across)[0, 1]) < 5 / math.sqrt(len(aniso))
        assert all(blur.sigma[0] == blur.sigma[1] for blur in plain if not blur.family.endswith("aniso"))
    for start, limits in (("generalized", PRESETS[name].beta_gaussian), ("plateau", PRESETS[name].beta_plateau)):
        betas = [blur.beta for blur in first if blur.family.startswith(start)]
        assert spans(betas, *limits)
        if limits[0] < 1:
            assert near(sum(beta < 1 for beta in betas) / len(betas), 0.5, len(betas))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("stage", "up_down_keep"), [("first", (0.2, 0.7, 0.1)), ("second", (0.3, 0.4, 0.3))])
def test_resizes_noises_and_jpegs_are_those_of_the_table(name: str, stage: str, up_down_keep) -> None:
    number = {"first": 1, "second": 2}[stage]
    stages, made = [getattr(settings, stage) for settings in drawn(name)], PRESETS[name]
    factors = np.array([s.shrink.factor for s in stages])
    shares = ((factors > 1).mean(), (factors < 1).mean(), (factors == 1).mean())
    for share, probability in zip(shares, up_down_keep, strict=True):
        assert near(share, probability, DRAWS)
    assert spans(factors, *getattr(made, f"resize_{number}"))
    for mode in ("area", "bilinear", "bicubic"):
        assert near(sum(s.shrink.mode == mode for s in stages) / DRAWS, 1 / 3, DRAWS)
    assert near(sum(s.noise.kind == "gaussian" for s in stages) / DRAWS, 0.5, DRAWS)
    assert near(sum(s.noise.grey for s in stages) / DRAWS, 0.4, DRAWS)
    for kind in ("gaussian", "poisson"):
        levels = [s.noise.level for s in stages if s.noise.kind == kind]
        low, high = getattr(made, f"{kind}_noise_{number}")
        assert spans(levels, low, high)
        assert np.mean(levels) == pytest.approx((low + high) / 2, abs=5 * (high - low) / math.sqrt(12 * len(levels)))
    qualities = [s.jpeg for s in stages]
    low, high = getattr(made, f"jpeg_{number}")
    assert set(qualities) == set(range(low, high + 1))


@pytest.mark.parametrize("name", NAMES)
def test_the_end_of_the_pipeline_is_that_of_the_table(name: str) -> None:
    assert near(sum(s.sinc is not None for s in drawn(name)) / DRAWS, 0.8, DRAWS)
    assert near(sum(s.jpeg_last for s in drawn(name)) / DRAWS, 0.5, DRAWS)
    assert spans([s.sinc.cutoff for s in drawn(name) if s.sinc], math.pi / 3, math.pi)
    small, large = ([s.first.blur for s in drawn(name) if s.first.blur.family == "sinc" and (s.first.blur.size < 13) == below]
                    for below in (True, False))  # fmt: skip
    assert spans([blur.cutoff for blur in small], math.pi / 3, math.pi)
    assert spans([blur.cutoff for blur in large], math.pi / 5, math.pi)


def test_a_field_is_changed_and_the_source_says_so() -> None:
    changed = preset("SeeSR", {"jpeg_2": [30, 40], "grey": 0.0})
    assert changed.jpeg_2 == (30, 40)
    assert changed.source.endswith("changed: jpeg_2, grey")
    assert preset("SeeSR") == PRESETS["SeeSR"]


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("StableSr", {}, "did you mean 'StableSR'"),
        ("SeeSR", {"jpeg2": (30, 40)}, "did you mean 'jpeg_2'"),
        ("SeeSR", {"jpeg_2": (40, 30)}, r"jpeg_2 is \(40, 30\); wanted \(lowest, highest\)"),
        ("SeeSR", {"grey": 40}, "grey is 40; wanted a probability"),
        ("SeeSR", {"families": (0.5, 0.5)}, "wanted 6 probabilities that sum to 1"),
        ("SeeSR", {"kernel_sizes": (8,)}, "wanted odd numbers"),
        ("SeeSR", {"source": "mine"}, "has no 'source'"),
        ("SeeSR", {"jpeg_1": (30, 101)}, r"jpeg_1 is \(30, 101\); wanted \(lowest, highest\), within 1..100"),
        ("SeeSR", {"jpeg_1": (30.5, 90)}, "wanted whole numbers"),
        ("SeeSR", {"resize_1": (1.1, 1.5)}, r"resize_1 is \(1.1, 1.5\); .* with 1 between"),
        ("SeeSR", {"beta_plateau": (0.2, 0.9)}, "with 1 between"),
        ("SeeSR", {"blur_sigma_1": (0, 1)}, "above 0"),
        ("SeeSR", {"gaussian_noise_2": (1, math.inf)}, "both ≥ 0"),
        ("SeeSR", {"gaussian_noise_2": ("1", "2")}, "both ≥ 0"),
        ("SeeSR", {"gaussian_noise_2": 12}, "both ≥ 0"),
        ("SeeSR", {"final_sinc": True}, "final_sinc is True; wanted a probability"),
        ("SeeSR", {"families": 0.5}, "wanted 6 probabilities"),
        ("SeeSR", {"kernel_sizes": 7}, "wanted odd numbers"),
    ],
)
def test_what_is_no_preset_is_refused(name: str, overrides, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        preset(name, overrides)
