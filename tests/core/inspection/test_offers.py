"""What is said to be supplied is what those who build components really hand over."""

import ast
from pathlib import Path

import pytest

import linearsr
from linearsr.core import registries
from linearsr.core.config import load_config
from linearsr.core.inspection.offers import OFFERS, supplied_by
from linearsr.core.key_check import component_of, typed_nodes
from linearsr.core.signatures import accepted_keys
from tests.shipped import CONFIGS

ROOT = Path(__file__).parents[3]
PACKAGE = Path(linearsr.__file__).parent


def offers_in_the_source() -> set[tuple[str, str]]:
    """(first config key, name) of every keyword in a `REGISTRY.build(part, name=…)` of the package."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr != "build":
                continue
            owner = call.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            registry = getattr(registries, name, None)
            if registry is not None:
                found |= {(registry.keys[0], keyword.arg) for keyword in call.keywords if keyword.arg}
    return found


def test_every_offer_in_the_source_is_told() -> None:
    offered = offers_in_the_source()
    assert ("denoiser", "latent_channels") in offered  # the search finds something
    assert {(key, name) for key, name in offered if name not in OFFERS.get(key, ("", ()))[1]} == set()


def test_nothing_is_said_to_be_supplied_by_the_model_that_is_not() -> None:
    ours = ("attention", "feed_forward", "lr_stem", "router", "denoiser", "time_sampler", "time_grid", "autoencoder")
    assert {(key, name) for key in ours for name in OFFERS[key][1]} == {
        (key, name) for key, name in offers_in_the_source() if key in ours
    }


def test_every_key_of_the_table_is_a_registrys_first() -> None:
    assert set(OFFERS) <= {registry.keys[0] for registry in registries.ALL}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_law_what_a_shipped_config_must_set_and_does_not_is_supplied(path: Path) -> None:
    for at, node, registry in typed_nodes(load_config(path)):
        for name in accepted_keys(component_of(at, node, registry)).required:
            assert name in node or supplied_by(registry, name), (at, name)
