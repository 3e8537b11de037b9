"""The guidance ablation: what its arms are told, that they are trained once, and its tables."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.data import write_image
from tests.tools.conftest import ROOT, Run

TINY = """
_base_ = ["{root}/configs/_base_/runtime.py", "{root}/configs/_base_/pixel_recipe_x4.py"]
_told = dict(
    type="TagGuidance", prompts_replace_tags=True, tagger=dict(type="FixedTags"), text_encoder=dict(type="MiniLMTextEncoder"))
_down = [dict(type="BicubicDegradation", scale=4)]
_read = dict(type="ReadSidecarText", folder="words")
_load = [dict(type="LoadPictures")]
_describe = [dict(type="Describe", guidance=_told)]
_test = dict(
    type="PairedFolders", name="held_out", hr_root="{data}/hr", lr_root="{data}/lr", pipeline=[_read, *_load, *_describe])
_one = dict(batch_size=1, num_workers=0)
model = dict(guidance=_told, denoiser=dict(depth=1, width=32))
train_dataloader = dict(
    **_one, sampler=dict(type="DrawSampler"),
    dataset=dict(type="HRFolder", name="train", root="{data}/hr",
                 pipeline=[_read, *_load, *_describe, dict(type="RandomCrop", size=16, scale=4), *_down]))
test_dataloader = dict(
    **_one, sampler=dict(type="DefaultSampler", shuffle=False), dataset=dict(type="JoinedDatasets", datasets=[_test]))
val_dataloader = val_cfg = val_evaluator = None
test_evaluator = dict(type="PictureMetrics", metrics=["psnr_y"], crop_border=4)
train_cfg = dict(max_iters=2)
test_cfg = dict(num_steps=[1])
"""


@pytest.fixture(scope="module")
def module(script_folder: None) -> ModuleType:
    return importlib.import_module("guidance_words")


SETS = st.dictionaries(st.tuples(st.sampled_from("ab"), st.integers(0, 50).map(str)), st.text(max_size=3), min_size=1)


@given(tags=SETS, seed=st.integers(0, 9))
def test_law_shuffled_tags_are_those_of_another_picture_of_the_set(module, tags, seed):
    own = {key: f"{'/'.join(key)}: {text}" for key, text in tags.items()}  # so that it shows whose they are
    shuffled = module.arm_words(own, "shuffled tags", seed)
    assert sorted(shuffled.values()) == sorted(own.values())
    for key, text in shuffled.items():
        assert text.startswith(key[0])
        assert text != own[key] or sum(other[0] == key[0] for other in own) == 1
    assert shuffled == module.arm_words(own, "shuffled tags", seed)


def test_the_other_arms_are_told_nothing_their_own_and_one_word(module: ModuleType) -> None:
    tags = {("a", "1"): "cat", ("a", "2"): ""}
    assert module.arm_words(tags, "none") == {("a", "1"): "", ("a", "2"): ""}
    assert module.arm_words(tags, "tags") == tags
    assert set(module.arm_words(tags, "fixed tags").values()) == {module.FIXED}


@pytest.mark.slow  # six processes: half a minute
def test_arms_are_trained_once_and_tested_with_other_words(run: Run, module: ModuleType, tmp_path: Path) -> None:
    for number in range(3):
        picture = torch.rand(3, 32, 32)
        write_image(tmp_path / "data" / "hr" / f"{number}.png", picture)
        write_image(tmp_path / "data" / "lr" / f"{number}.png", picture[:, ::4, ::4])
    config = tmp_path / "tiny.py"
    config.write_text(TINY.format(root=ROOT, data=tmp_path / "data"))
    words = ("benchmarks/guidance_ablation.py", "--config", config, "--steps", 2, "--seeds", 3, "--out", "guidance.json")
    done = run(*words)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "guidance.json").read_text())
    assert report["failed"] == {}
    assert [row["name"] for row in report["rows"]] == report["arms"]
    assert report["told"]["pictures"] == 6
    results = sorted((tmp_path / "work_dirs" / "guidance_ablation").glob("*/steps_2_seed_3/result.json"))
    assert len(results) == 4
    written = [path.stat().st_mtime_ns for path in results]
    assert run(*words).returncode == 0
    assert [path.stat().st_mtime_ns for path in results] == written
    assert "not measured" in run("benchmarks/guidance_ablation.py", "--markdown", "guidance.json").stdout


def test_tables_are_made_of_the_report(run: Run, module: ModuleType, tmp_path: Path) -> None:
    def row(name: str, psnr: float, cpu_seconds: float | None) -> dict:
        figure = {"dataset": "d", "method": "model", "num_steps": 1, "psnr_y": psnr, "niqe": None}
        return {"name": name, "seed": 0, "cpu_seconds": cpu_seconds, "figures": [figure]}

    report = {
        "steps": 5, "seeds": [0], "arms": ["none", "tags", "fixed tags"], "parameters": 1234,
        "told": {"pictures": 4, "with_tags": 3}, "failed": {"shuffled tags, seed 0": "it broke"},
        "costs": {"tagging_seconds": 0.3, "encoding_seconds": 0.01, "tokens": 4.25, "fixed_tokens": 3,
                  "tagger_bytes": 2**20, "encoder_bytes": 2**21},
        "rows": [row("none", 30.0, 60.0), row("tags", 30.25, 62.0), row("fixed tags", 29.5, None)],
    }  # fmt: skip
    (tmp_path / "guidance.json").write_text(json.dumps(report))
    text = run("benchmarks/guidance_ablation.py", "--markdown", "guidance.json").stdout
    assert "| tags | +0.250 |" in text
    assert "| none | 60 | 0 | 0 | 0 | 0 |" in text
    assert "| tags | 62 | 4.2 | 300 | 10 | 3 |" in text
    assert "| fixed tags | – | 3 | 0 | 10 | 2 |" in text
    assert "Of 4 pictures 3 have tags" in text
    assert "shuffled tags, seed 0 did not finish: it broke" in text
    assert "| captions | not measured |" in text
