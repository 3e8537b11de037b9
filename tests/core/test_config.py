"""Configs: merging, overrides, and the check of every key."""

from pathlib import Path

import pytest

from linearsr.core.config import config_hash, load_config, parse_options
from linearsr.core.config_merging import OverrideNote
from linearsr.core.errors import ConfigError, LinearSRError, UnknownComponentError
from tests.shipped import CONFIGS

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "configs" / "quickstart_x4.py"


def write(folder: Path, text: str, name: str = "child.py") -> Path:
    path = folder / name
    path.write_text(f'_base_ = ["{QUICKSTART}"]\n{text}\n')
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_passes_the_check(path: Path) -> None:
    assert load_config(path).model.type == "LinearSR"


def test_a_key_misspelt_three_levels_deep_names_file_component_and_nearest_key(tmp_path: Path) -> None:
    path = write(tmp_path, "model = dict(denoiser=dict(attention=dict(qk_nrom=True)))")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    text = str(caught.value)
    assert text.startswith(
        f"{path}: model.denoiser.attention: ReLULinearAttention has no key 'qk_nrom'; did you mean 'qk_norm'? Its keys"
    )


def test_a_key_misspelt_in_a_base_file_names_the_base_file(tmp_path: Path) -> None:
    base = write(tmp_path, "model = dict(denoiser=dict(widht=64))", "base.py")
    child = tmp_path / "grandchild.py"
    child.write_text('_base_ = ["base.py"]\nmodel = dict(denoiser=dict(depth=2))\n')
    with pytest.raises(ConfigError, match="did you mean 'width'") as caught:
        load_config(child)
    assert str(caught.value).startswith(f"{base}: model.denoiser: LinearDiT")


def test_a_misspelt_option_names_the_option() -> None:
    with pytest.raises(
        ConfigError, match=r"^--cfg-options model\.denoiser\.dept: model\.denoiser: LinearDiT has no key 'dept'"
    ):
        load_config(QUICKSTART, ["model.denoiser.dept=3"])


def test_a_misspelt_type_names_where_it_stands() -> None:
    with pytest.raises(
        UnknownComponentError,
        match=r"--cfg-options model\.solver\.type: model\.solver: no solver named 'Eulr'; did you mean 'Euler'",
    ):
        load_config(QUICKSTART, ["model.solver.type=Eulr"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("train_dataloder.batch_size=2", "no setting is called 'train_dataloder'; did you mean 'train_dataloader'"),
        ("train_dataloader.batchsize=2", "train_dataloader has no key 'batchsize'; did you mean 'batch_size'"),
        ("train_dataloader.dataset.splitt=train", "BundledPhotos has no key 'splitt'"),
        ("default_hooks.checkpoint.intervall=5", "CheckpointHook has no key 'intervall'"),
        ("default_hooks.averaging.momentun=0.1", "EMAHook has no key 'momentun'; did you mean 'momentum'"),
        ("default_hooks.checkpiont.interval=5", r"default_hooks\.checkpiont: the hook is described as dict\(type="),
        ("optim_wrapper.clip_grad.max_nrom=1", r"optim_wrapper\.clip_grad has no key 'max_nrom'; did you mean 'max_norm'"),
        ("optim_wrapper.paramwise_cfg.norm_decay_mull=0", "did you mean 'norm_decay_mult'"),
        ("env_cfg.mp_cfg.mp_start=fork", r"env_cfg\.mp_cfg has no key 'mp_start'"),
        ("optim_wrapper.optimizer.typ=SGD", "AdamW has no key 'typ'"),
        ("default_scope=mmengine", "wanted 'linearsr' or nothing"),
        ("val_cfg=None", "val_dataloader is set without val_cfg"),
        ("test_cfg.num_steps=[1,2", "the value cannot be read"),
        ("optim_wrapper.optimizer.lrr=1", "AdamW has no key 'lrr'"),
        ("param_scheduler.0.start_facto=1", "LinearLR has no key 'start_facto'"),
        ("val_evaluator.crop=1", "PictureMetrics has no key 'crop'"),
        ("train_cfg.max_iter=1", "TrainLoop has no key 'max_iter'"),
        ("test_cfg.steps=1", "RestoreTestLoop has no key 'steps'"),
        ("randomness.sed=1", "randomness has no key 'sed'"),
        ("train_dataloader.dataset.pipeline.1.sizes=64", "RandomCrop has no key 'sizes'"),
    ],
)
def test_a_misspelt_key_of_any_part_is_refused_before_anything_is_built(option: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(QUICKSTART, [option])


def test_an_override_that_changes_a_type_drops_the_old_types_keys_and_says_so() -> None:
    with pytest.warns(
        OverrideNote, match=r"--cfg-options: model\.time_sampler is now UniformTimes; dropped p_end of EndWeightedTimes"
    ):
        cfg = load_config(QUICKSTART, ["model.time_sampler.type=UniformTimes"])
    assert cfg.model.time_sampler == {"type": "UniformTimes"}


def test_a_child_file_that_changes_a_type_drops_the_bases_keys_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, 'model = dict(time_sampler=dict(type="UniformTimes"))')
    with pytest.warns(OverrideNote, match=r"model\.time_sampler is now UniformTimes; dropped p_end of EndWeightedTimes"):
        cfg = load_config(path)
    assert cfg.model.time_sampler == {"type": "UniformTimes"}


def test_an_option_given_for_the_new_type_is_never_dropped() -> None:
    with pytest.raises(ConfigError, match="UniformTimes has no key 'p_end'"):
        load_config(QUICKSTART, ["model.time_sampler.type=UniformTimes", "model.time_sampler.p_end=0.3"])


def test_helper_names_begin_with_an_underscore_and_are_dropped(tmp_path: Path) -> None:
    assert "_width" not in load_config(write(tmp_path, "_width = 32\nmodel = dict(denoiser=dict(width=_width))"))
    with pytest.raises(ConfigError, match="helper variable of a config begins with an underscore"):
        load_config(write(tmp_path, "my_own_number = 32"))


def test_options_are_read_as_python_values() -> None:
    assert parse_options(["a.b=1", "c=[1,2]", "d=x", "e=True", "f=0.5"]) == {
        "a.b": 1,
        "c": [1, 2],
        "d": "x",
        "e": True,
        "f": 0.5,
    }
    with pytest.raises(ConfigError, match="takes key=value"):
        parse_options(["a.b"])


@pytest.mark.parametrize("content", ["model = dict(", "1 / 0", "import no_such_module"])
def test_a_config_that_does_not_load_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"bad\.py does not load"):
        load_config(path)


def test_a_syntax_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("train_cfg = dict()\nmodel = dict(\n")
    with pytest.raises(ConfigError, match=r"bad\.py does not load: line 2: '\(' was never closed"):
        load_config(path)


def test_a_missing_config_is_named() -> None:
    with pytest.raises(LinearSRError, match=r"there is no config file nowhere\.py"):
        load_config("nowhere.py")


def test_the_hash_depends_on_what_is_trained_and_not_on_the_folder() -> None:
    first, second = load_config(QUICKSTART), load_config(QUICKSTART)
    second.work_dir = "elsewhere"
    assert config_hash(first) == config_hash(second)
    assert config_hash(first) != config_hash(load_config(QUICKSTART, ["model.denoiser.depth=3"]))


def test_a_saved_config_loads_again_to_the_same_hash(tmp_path: Path) -> None:
    cfg = load_config(QUICKSTART)
    cfg.dump(str(tmp_path / "saved.py"))
    assert config_hash(load_config(tmp_path / "saved.py")) == config_hash(cfg)
