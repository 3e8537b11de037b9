"""Training from a cache of guidance is training with the guidance itself."""

from pathlib import Path

import pytest
import torch

from linearsr.core.config import load_config
from linearsr.core.data import HRFolder
from linearsr.core.data.token_agreement import check_described
from linearsr.core.data.token_filling import fill_tokens
from linearsr.core.data.token_jobs import jobs_of
from linearsr.core.data.token_looking import Lookers
from linearsr.core.engine import read_log, run_training
from linearsr.core.errors import ConfigError
from linearsr.core.weights import read_state_dict

GUIDANCE = {
    "toy": 'dict(type="tests.core.data.toy_guidance.ToyGuidance")',
    "tags": 'dict(type="TagGuidance", tagger=dict(type="tests.guidance.fakes.ToyTagger"), '
    'text_encoder=dict(type="tests.guidance.fakes.ToyEncoder"))',
    "tags in MiniLM": 'dict(type="TagGuidance", tagger=dict(type="tests.guidance.fakes.ToyTagger"), '
    'text_encoder=dict(type="MiniLMTextEncoder"))',
}
CONFIG = """
_base_ = ["{config}"]
_guidance = {guidance}
_describe = dict(type="Describe", guidance=_guidance, cache={cache!r})
_whole = [dict(type="LoadPictures"), dict(type="CropToMultiple", scale=2), dict(type="BicubicDegradation", scale=2), _describe]
model = dict(guidance=_guidance)
train_dataloader = dict(num_workers={workers}, dataset=dict(pipeline=[
    dict(type="LoadPictures"), _describe, dict(type="RandomCrop", size=16, scale=2), dict(type="RandomFlipRotate"),
    dict(type="BicubicDegradation", scale=2)]))
val_dataloader = dict(dataset=dict(pipeline=_whole))
test_dataloader = val_dataloader
"""


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_log(folder / "log.jsonl") if "loss" in line]


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("toy", "tests.core.data.toy_guidance.ToyGuidance.__call__"),
        ("tags", "tests.guidance.fakes.ToyEncoder.__call__"),
        pytest.param("tags in MiniLM", "linearsr.guidance.text_encoders.MiniLMTextEncoder.load", marks=pytest.mark.slow),
    ],
)
def test_training_from_the_cache_asks_no_encoder_and_is_training_with_live_ones_bit_for_bit(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, encoder: str
) -> None:
    def described(run: str, cache: str | None, workers: int) -> Path:
        path = tmp_path / f"{run}.py"
        path.write_text(CONFIG.format(config=config, guidance=GUIDANCE[name], cache=cache, workers=workers))
        return path

    live = run_training(described("live", None, 0), tmp_path / "run_live")
    cached = described("cached", str(tmp_path / "cache"), 2)
    fill_tokens(jobs_of(load_config(cached)), Lookers())
    monkeypatch.setattr(encoder, None)  # who calls it fails, in forked data workers too
    from_cache = run_training(cached, tmp_path / "run_cached")
    assert losses(from_cache) == losses(live)
    one, other = (read_state_dict(folder / "iter_6.pth") for folder in (live, from_cache))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert any("cross" in key for key in one)


def test_a_describe_of_another_guidance_than_the_models_is_refused_before_the_run(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.py"
    path.write_text(CONFIG.format(config=config, guidance=GUIDANCE["toy"], cache=None, workers=0))
    with pytest.raises(
        ConfigError,
        match=r"train_dataloader: Describe\.guidance of data is ToyGuidance\(width=4\), and model\.guidance is "
        r"ToyGuidance\(width=6\); change Describe\.guidance",
    ):
        run_training(path, tmp_path / "run", options={"model.guidance.width": 6})
    assert not (tmp_path / "run").exists()


def test_the_negative_prompt_may_differ(config: Path) -> None:
    told = {"type": "PromptGuidance", "text": "a photo", "text_encoder": {"type": "tests.guidance.fakes.ToyEncoder"}}
    root = str(load_config(config).train_dataloader.dataset.root)
    dataset = HRFolder(root, [{"type": "LoadPictures"}, {"type": "Describe", "guidance": told}])
    check_described(dataset, told | {"negative": "noise"}, "train_dataloader")
    with pytest.raises(ConfigError, match="a painting"):
        check_described(dataset, told | {"text": "a painting"}, "train_dataloader")
