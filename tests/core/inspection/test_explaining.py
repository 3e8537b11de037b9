"""What is said about a key: from where, of whom, and never nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linearsr.core.errors import ConfigError, LinearSRError
from linearsr.core.inspection import explain, explaining, resolve
from linearsr.core.inspection.settings import readers
from linearsr.core.registries import ALL, BY_KEY
from linearsr.core.runner_keys import plain_tables, runner_keys
from linearsr.core.signatures import accepted_keys
from tests.plugins.packages import ATTENTION as PLUGIN
from tests.plugins.packages import install
from tests.shipped import CONFIGS

ROOT = Path(__file__).parents[3]
QUICKSTART = ROOT / "configs" / "quickstart_x4.py"


def keys(node: Any, path: tuple = ()) -> Iterator[str]:
    for part, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ():
        yield ".".join(map(str, (*path, part)))
        yield from keys(value, (*path, part))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_key_of_every_shipped_config_is_explained(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = resolve(path)
    monkeypatch.setattr(explaining, "resolve", lambda source, options: cfg)  # read once, not once for each key
    every = list(keys(cfg.to_dict()))
    explanations = [explain(key, path) for key in every]
    assert len(every) > 150
    assert all(explanation.rows["set to"].endswith(".py") for explanation in explanations)
    assert [explanation.key for explanation in explanations if not explanation.described] == []


@pytest.mark.parametrize("key", sorted({*runner_keys(), *BY_KEY}))
def test_every_setting_and_every_kind_of_component_is_explained_without_a_config(key: str) -> None:
    rows = explain(key).rows
    assert "about" in rows or "holds" in rows
    assert "set to" not in rows


@pytest.mark.parametrize(
    "key", [".".join(map(str, (*path, key))) for path, table in plain_tables().items() for key in table], ids=str
)
def test_every_key_of_the_plain_tables_is_described_without_a_config(key: str) -> None:
    if key.split(".")[1] not in ("dataset", "sampler", "batch_sampler", "collate_fn"):
        assert explain(key).described


def test_every_plain_table_has_a_function_that_reads_it() -> None:
    assert all(readers(path) for path in plain_tables())


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.name)
def test_every_component_of_ours_is_explained_with_its_options(registry: Any) -> None:
    ours = {name: part for name, part in registry.own().items() if part.__module__.startswith("linearsr.")}
    for name, component in ours.items():
        rows = explain(name).rows
        assert registry.name in rows["is"]
        assert (component.__doc__ or "").split("\n")[0].strip() in rows["about"]
        options = [explain(f"{name}.{option}") for option in accepted_keys(component).names]
        to_be_set = [option for option in options if not option.rows["default"].startswith("supplied")]
        assert [option.key for option in to_be_set if not option.described] == [], "describe it in the class docstring"


def test_an_option_says_type_default_text_summary_source_and_where_it_is_set() -> None:
    rows = explain("model.denoiser.lr_stem.depth", QUICKSTART).rows
    assert rows["of"].startswith("ConvStem: ")
    assert rows["type"] == "int"
    assert rows["default"].isdigit()
    assert rows["about"] == "number of convolutions, ≥ 1"
    assert rows["source"].rpartition(":")[0].endswith("linearsr/core/backbones/lr_stem.py")
    assert rows["set to"].startswith("2  in ")
    assert rows["set to"].endswith("configs/_base_/pixel_recipe_x4.py")


@pytest.mark.parametrize(
    "key",
    ["LinearDiT.width", "denoiser.LinearDiT.width", "denoiser.width", "model.denoiser.width", "model.denoiser.LinearDiT.width"],
)
def test_without_a_config_a_component_is_named_or_found_by_its_option(key: str) -> None:
    rows = explain(key).rows
    assert rows["of"].startswith("LinearDiT: ")
    assert rows["default"] == "none: must be set"
    assert rows["about"].startswith("D and the width of an attention head")


def test_without_a_type_the_default_is_taken_for_what_it_takes_and_no_more() -> None:
    assert explain("val_cfg.fp16").rows["of"].startswith("ValLoop: ")
    assert "RestoreValLoop.num_steps" in explain("val_cfg.num_steps").rows["about"]
    assert explain("model_wrapper_cfg").rows["assumed"].startswith("ReplicatedModel: ")


def test_an_option_of_several_components_names_them() -> None:
    assert "ReLULinearAttention.dim, SoftmaxAttention.dim" in explain("attention.dim").rows["about"]


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("LinearDiT.latent_channels", "supplied by the model"),
        ("LinearDiT.latent_factor", "supplied by the model; 1 elsewhere"),
        ("LinearDiT.patch_size", "1"),
        ("ReLULinearAttention.dim", "supplied by the denoiser, for each of its blocks"),
        ("train_cfg.dataloader", "supplied by the runner"),
        ("EMAHook.momentum", "0.0002"),
        ("randomness.deterministic", "False"),
    ],
)
def test_the_default_says_who_supplies_what_is_not_set(key: str, default: str) -> None:
    assert explain(key).rows["default"] == default


def test_what_a_key_can_hold_is_listed() -> None:
    assert "LinearDiT" in explain("denoiser.type").rows["holds"]
    assert "CosineAnnealingLR" in explain("param_scheduler.0").rows["holds"]
    assert "LinearLR.start_factor" in explain("param_scheduler.0.start_factor").rows["about"]
    rows = explain("denoiser").rows
    assert rows["holds"] == "a denoiser: ExpertMixture, LinearDiT"
    assert rows["plugins"] == "entry points of the group linearsr.denoisers"
    assert "LinearDiT" in explain("model.denoiser").rows["may hold"]
    assert explain("model.denoiser", QUICKSTART).rows["holds"].startswith("LinearDiT: ")
    assert "SoftmaxAttention" in explain("model.denoiser.attention.type", QUICKSTART).rows["holds"]


def test_the_file_that_gave_the_value_is_named_or_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "child.py"
    child.write_text(f'_base_ = ["{QUICKSTART}"]\nmodel = dict(denoiser=dict(depth=4, width=32))\n')
    monkeypatch.chdir(tmp_path)

    def set_to(key: str, *options: str) -> str:
        return explain(key, child, options).rows["set to"]

    assert set_to("model.denoiser.width") == "32  in child.py"
    assert set_to("model.denoiser.depth") == f"4  in {ROOT / 'configs/_base_/pixel_recipe_x4.py'}"  # the child repeats it
    assert set_to("train_cfg.max_iters") == f"750  in {QUICKSTART}"
    assert set_to("model.denoiser.patch_size") == "nothing: the config leaves it out"
    assert set_to("model.denoiser.width", "model.denoiser.width=64") == "64  in --cfg-options model.denoiser.width"
    assert set_to("param_scheduler.0.begin", "param_scheduler.0.begin=1") == "1  in --cfg-options param_scheduler.0.begin"
    many = set_to(
        "optim_wrapper.clip_grad.max_norm", "optim_wrapper.clip_grad.max_norm=2", "optim_wrapper.clip_grad.max_norm=3"
    )
    assert many.startswith("3  in --cfg-options")


@pytest.mark.parametrize(
    ("key", "config", "message"),
    [
        ("model.denoiser.dept", True, r"model\.denoiser: LinearDiT has no key 'dept'; did you mean 'depth'\?"),
        ("model.denoiser.dept", False, r"no denoiser .* takes it; did you mean 'depth'\?"),
        ("LinarDiT", False, "is called 'LinarDiT'; did you mean 'LinearDiT'"),
        ("LinearDiT.dept", False, "did you mean 'depth'"),
        ("depth", False, r"options of this name: LinearDiT\.depth, ConvStem\.depth"),
        ("train_dataloder.batch_size", False, "did you mean 'train_dataloader'"),
        ("train_dataloader.batchsize", False, "train_dataloader has no key 'batchsize'; did you mean 'batch_size'"),
        ("default_hooks.chekpoint", True, r"default_hooks of the config has no 'chekpoint'; did you mean 'checkpoint'\?"),
        ("param_scheduler.7", True, "param_scheduler of the config has no 7"),
        ("model.denoiser.depth.x", True, r"model\.denoiser\.depth is 4; there are no keys below it"),
        ("test_cfg.num_steps.9", True, r"test_cfg\.num_steps is \[1, 4\], which has no 9"),
        ("EMAHook.momentun", False, "did you mean 'momentum'"),
        ("a..b", False, "a key is names with dots between them"),
        ("3.x", False, "a key is names with dots between them"),
        ("", False, "a key is names with dots between them"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, config: bool, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        explain(key, QUICKSTART if config else None)


def test_a_plugin_is_explained_by_its_name_and_in_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = PLUGIN.format(name="Pooled").replace(
        "every token gets the same mixture.", "one mixture.\n\n    rank: of the bottleneck\n"
    )
    site = install(tmp_path / "site", "pooled_pkg", "pooled_mod", source, {"Pooled": "pooled_mod:Pooled"}, "linearsr.attention")
    monkeypatch.syspath_prepend(str(site))
    config = tmp_path / "theirs.py"
    config.write_text(f'_base_ = ["{QUICKSTART}"]\nmodel = dict(denoiser=dict(attention=dict(type="Pooled", rank=4)))\n')
    for rows in (explain("Pooled.rank").rows, explain("model.denoiser.attention.rank", config).rows):
        assert (rows["default"], rows["about"]) == ("8", "of the bottleneck")
        assert rows["source"].rpartition(":")[0].endswith("pooled_mod.py")
    assert "Pooled (plugin)" in explain("attention").rows["holds"]
    assert explain("Pooled.dim").rows["default"] == "supplied by the denoiser, for each of its blocks"
    with pytest.raises(LinearSRError, match="did you mean 'rank'"):
        explain("Pooled.rnk")
