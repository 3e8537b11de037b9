"""The stages of a config: each a whole config, checked before anything starts."""

import re
from pathlib import Path

import pytest

from linearsr.core.config import load_config
from linearsr.core.config_merging import OverrideNote
from linearsr.core.errors import ConfigError, UnknownComponentError
from linearsr.core.stages import find_stage, stages_of

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "configs" / "quickstart_x4.py"


def load(folder: Path, stages: str, *options: str):
    path = folder / "child.py"
    path.write_text(f'_base_ = ["{QUICKSTART}"]\nstages = {stages}\n')
    return load_config(path, options)


def test_a_stage_is_the_rest_of_the_config_with_its_override(tmp_path):
    cfg = load(
        tmp_path,
        '[dict(name="a"), dict(name="b", init="a@last", override=dict(train_cfg=dict(max_iters=9), '
        'train_dataloader=dict(dataset=dict(pipeline={"1": dict(size=64)}))))]',
    )
    a, b = stages_of(cfg)
    assert a.cfg.train_cfg.max_iters == cfg.train_cfg.max_iters
    assert b.cfg.train_cfg.max_iters == 9
    assert b.cfg.train_dataloader.dataset.pipeline[1].to_dict() == {"type": "RandomCrop", "size": 64, "scale": 4}
    assert a.cfg.train_dataloader.dataset.pipeline[1].size == 128
    assert "stages" not in b.cfg
    assert b.cfg.filename == cfg.filename


def test_options_change_what_stages_share_and_a_stage_by_its_number(tmp_path):
    options = ("optim_wrapper.optimizer.lr=0.5", "stages.1.override.train_cfg.max_iters=7")
    stages = '[dict(name="a"), dict(name="b", init="a@last", override=dict(train_cfg=dict(max_iters=9)))]'
    a, b = stages_of(load(tmp_path, stages, *options))
    assert a.cfg.optim_wrapper.optimizer.lr == b.cfg.optim_wrapper.optimizer.lr == 0.5
    assert b.cfg.train_cfg.max_iters == 7


def test_a_type_that_an_override_changes_takes_the_old_types_keys_with_it(tmp_path):
    with pytest.warns(OverrideNote, match=r"stages\.0\.override: model\.time_sampler is now UniformTimes; dropped p_end"):
        load(tmp_path, '[dict(name="a", override=dict(model=dict(time_sampler=dict(type="UniformTimes"))))]')


def test_each_stage_draws_other_samples_unless_it_is_told_to(tmp_path):
    stages = '[dict(name="a"), dict(name="b", init=None), dict(name="c", init=None, override=dict(randomness=dict(seed=0)))]'
    seeds = [stage.cfg.randomness.seed for stage in stages_of(load(tmp_path, stages))]
    assert seeds[0] == seeds[2] == 0
    assert seeds[1] != 0


def test_a_misspelt_key_in_an_override_names_file_stage_and_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"child\.py: stages\.0\.override: model\.denoiser: LinearDiT has no key 'dept'"):
        load(tmp_path, '[dict(name="a", override=dict(model=dict(denoiser=dict(dept=3))))]')
    with pytest.raises(UnknownComponentError, match=r"stages\.0\.override: model\.denoiser: no denoiser named 'LinearDt'"):
        load(tmp_path, '[dict(name="a", override=dict(model=dict(denoiser=dict(type="LinearDt"))))]')


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ("[]", "stages is .*wanted a list"),
        ('dict(name="a")', "stages is .*wanted a list"),
        ("[3]", r"stages\.0 is 3; wanted a dict with a name"),
        ("[dict()]", r"stages\.0 is .*wanted a dict with a name"),
        ('[dict(name="a/b")]', "wanted a dict with a name of letters"),
        ('[dict(name="a@b")]', "wanted a dict with a name of letters"),
        ('[dict(name="a"), dict(name="a")]', r"stages\.1\.name is 'a', as in stages\.0"),
        ('[dict(name="a"), dict(name="A")]', r"stages\.1\.name is 'A', as in stages\.0"),
        ('[dict(name="report.html")]', "which a curriculum writes itself"),
        ('[dict(name="a", overide={})]', r"no key 'overide'; did you mean 'override'"),
        ('[dict(name="a", max_iters=3)]', r"belongs into stages\.0\.override"),
        ('[dict(name="a", override=3)]', r"stages\.0\.override is 3"),
        ('[dict(name="a", override=dict(stages=[]))]', r"stages\.0\.override is"),
        ('[dict(name="a", init="b@last"), dict(name="b")]', r"stages\.0\.init names the stage 'b'.*it is the first"),
        ('[dict(name="pre"), dict(name="b", init="per@last")]', r"names the stage 'per'; did you mean 'pre'\?"),
        ('[dict(name="a"), dict(name="b", init="b@last")]', r"which does not come before it; before it: a"),
        ('[dict(name="a"), dict(name="b", init="a@late")]', r"stages\.1\.init is 'a@late'"),
        ('[dict(name="a"), dict(name="b", init="a@last", optimizer="warm")]', r"stages\.1\.optimizer is 'warm'"),
        ('[dict(name="a", optimizer="kept")]', r"stages\.0\.optimizer is 'kept', but the stage starts from nothing"),
    ],
)
def test_what_is_wrong_with_stages_is_said_before_anything_starts(tmp_path, stages, said):
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, stages)


def test_a_curriculum_without_stages_is_refused_by_key(tmp_path):
    path = tmp_path / "child.py"
    path.write_text(f'_base_ = ["{QUICKSTART}"]\ncurriculum = dict(type="ESGF")\n')
    with pytest.raises(ConfigError, match=r"child\.py: curriculum is set without stages"):
        load_config(path)


def test_an_unknown_stage_is_refused_with_the_nearest(tmp_path):
    stages = stages_of(load(tmp_path, '[dict(name="pretrain")]'))
    with pytest.raises(ConfigError, match="no stage is called 'pretrian'; did you mean 'pretrain'"):
        find_stage(stages, "pretrian")


def test_the_config_of_the_page_passes_the_check(tmp_path):
    text = (ROOT / "docs" / "curriculum.md").read_text()
    config = next(block for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S) if "_base_" in block)
    path = tmp_path / "staged.py"
    path.write_text(config.replace('"configs/', f'"{ROOT}/configs/'))
    assert [str(stage.start) for stage in stages_of(load_config(path))] == ["None", "pretrain@knee", "experts@last"]
