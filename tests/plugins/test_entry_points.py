"""Plugins are found without importing them, loaded one at a time, and blamed by name."""

import sys
from pathlib import Path

import pytest

from linearsr.core.errors import PluginLoadError, UnknownComponentError
from linearsr.core.registries import ATTENTION, PATHS
from tests.plugins.packages import ATTENTION as SOURCE
from tests.plugins.packages import install

GROUP = "linearsr.attention"


def test_a_plugin_is_named_without_being_imported(site: Path) -> None:
    install(
        site, "lazy_pkg", "lazy_mod", SOURCE.format(name="LazyAttention"), {"LazyAttention": "lazy_mod:LazyAttention"}, GROUP
    )
    assert "LazyAttention" in ATTENTION.names()
    assert "LazyAttention" in ATTENTION
    assert "lazy_mod" not in sys.modules


def test_a_plugin_is_built_with_what_the_caller_offers(site: Path) -> None:
    install(
        site, "good_pkg", "good_mod", SOURCE.format(name="GoodAttention"), {"GoodAttention": "good_mod:GoodAttention"}, GROUP
    )
    attention = ATTENTION.build({"type": "GoodAttention", "rank": 3}, dim=16, num_heads=2)
    assert attention.down.weight.shape == (3, 16)


def test_a_dotted_path_names_a_class_without_an_entry_point(site: Path) -> None:
    install(site, "dotted_pkg", "dotted_mod", SOURCE.format(name="Dotted"), {}, GROUP)
    assert ATTENTION.require("dotted_mod.Dotted").__name__ == "Dotted"
    with pytest.raises(UnknownComponentError, match=r"no attention named 'no_such_mod\.Dotted'"):
        ATTENTION.require("no_such_mod.Dotted")


def test_a_plugin_that_does_not_import_is_blamed_with_its_cause(site: Path) -> None:
    install(site, "broken_pkg", "broken_mod", "import triton_that_is_not_there\n", {"Broken": "broken_mod:Broken"}, GROUP)
    with pytest.raises(
        PluginLoadError, match=r"broken_pkg 1\.0 provides 'Broken'.*No module named 'triton_that_is_not_there'"
    ) as caught:
        ATTENTION.build({"type": "Broken"})
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_broken_plugin_hurts_no_other_component(site: Path) -> None:
    install(site, "broken_pkg2", "broken_mod2", "1 / 0\n", {"Broken2": "broken_mod2:Broken2"}, GROUP)
    assert ATTENTION.require("ReLULinearAttention").__name__ == "ReLULinearAttention"
    assert "Broken2" in ATTENTION.names()


def test_two_distributions_that_claim_one_name_are_both_named(site: Path) -> None:
    for number in ("one", "two"):
        source = SOURCE.format(name="Clash")
        install(site, f"clash_{number}", f"clash_mod_{number}", source, {"Clash": f"clash_mod_{number}:Clash"}, GROUP)
    with pytest.raises(PluginLoadError, match=r"'Clash' is claimed by clash_\w+ 1\.0 and by clash_\w+ 1\.0"):
        ATTENTION.require("Clash")


def test_a_distribution_that_claims_our_name_is_named_with_ours(site: Path) -> None:
    source = SOURCE.format(name="Mine")
    install(site, "greedy_pkg", "greedy_mod", source, {"SoftmaxAttention": "greedy_mod:Mine"}, GROUP)
    with pytest.raises(
        PluginLoadError, match=r"greedy_pkg 1\.0 claims the name 'SoftmaxAttention', which is linearsr\.attention"
    ):
        ATTENTION.require("SoftmaxAttention")


def test_an_entry_point_of_another_group_is_not_taken(site: Path) -> None:
    install(site, "other_pkg", "other_mod", SOURCE.format(name="Other"), {"Other": "other_mod:Other"}, GROUP)
    assert PATHS.get("Other") is None
