"""The configs of the guidance ablation: they load without any weights, say what is missing, and run when it is there."""

import json
from pathlib import Path

import pytest
import torch

from linearsr.core.config import load_config, parse_options
from linearsr.core.data import read_image
from linearsr.core.data.bundled_photos import photo_path
from linearsr.core.engine import run_testing, run_training
from linearsr.core.errors import DataError, WeightsError
from linearsr.core.registries import DATASETS, MODELS
from linearsr.core.structures import GuidanceTokens, SRBatch
from linearsr.guidance import FixedTags

CONFIGS = Path(__file__).parents[2] / "configs"
ABLATIONS = CONFIGS / "ablations"
PHOTOS = ("chelsea", "coffee")


def built(path: Path):
    torch.manual_seed(0)
    return MODELS.build(load_config(path).model)


def trained_and_used(model, prompts=None) -> torch.Tensor:
    """One loss, whose gradient must reach the projection, and two photos restored, which are not as they would be untold."""
    for name, parameter in model.denoiser.named_parameters():
        if "attention" not in name and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02, generator=torch.Generator().manual_seed(len(name)))  # as after training
    hr = torch.stack([read_image(photo_path(f"skimage/{name}.png"))[:, 100:228, 100:228] for name in PHOTOS])
    lr = torch.nn.functional.avg_pool2d(hr, 4)
    model.loss(SRBatch(lr, (0, 1), hr), prompts)["loss"].backward()
    for name, parameter in model.denoiser.guidance_projection.named_parameters():
        assert parameter.grad.any(), name
    told = model.restore(lr, prompts=prompts)
    null = model.guidance.null(2)
    untold = model.restore(lr, guidance=GuidanceTokens(null.tokens, torch.zeros_like(null.mask)))
    assert not torch.equal(told, untold)
    return told


@pytest.mark.parametrize(
    "path", [ABLATIONS / "guidance_null.py", ABLATIONS / "guidance_tag.py", CONFIGS / "quickstart_tag_x4.py"]
)
def test_what_needs_no_weights_of_the_users_runs_as_it_is(path: Path) -> None:
    assert trained_and_used(built(path)).shape == (2, 3, 128, 128)


@pytest.mark.parametrize("kind", ["clip", "dino"])
def test_an_encoder_of_the_users_is_named_where_it_is_missing_and_runs_where_it_is(kind, vision, monkeypatch, tmp_path) -> None:
    path, variable = ABLATIONS / f"guidance_{kind}.py", f"LINEARSR_{kind.upper()}"
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match=r"nowhere/config\.json does not exist.*nothing was downloaded"):
        built(path)
    monkeypatch.setenv(variable, str(vision[kind]))
    assert trained_and_used(built(path)).shape == (2, 3, 128, 128)


def test_a_missing_caption_is_named_and_every_data_set_reads_those_that_are_there(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LINEARSR_CAPTIONS", str(tmp_path))
    cfg = load_config(ABLATIONS / "guidance_caption.py")
    photos = DATASETS.build(cfg.val_dataloader.dataset)
    with pytest.raises(DataError, match=f"coffee has no text: {tmp_path}/coffee.txt does not exist"):
        photos[0]
    (tmp_path / "coffee.txt").write_text("a cup of coffee on a wooden table")
    assert photos[0]["prompt"] == "a cup of coffee on a wooden table"
    parts = cfg.test_dataloader.dataset.datasets
    assert all(part.pipeline[0] == cfg.train_dataloader.dataset.pipeline[0] for part in [cfg.val_dataloader.dataset, *parts])


def test_captions_reach_the_tokens() -> None:
    model = built(ABLATIONS / "guidance_caption.py")
    given = model.guidance(torch.rand(2, 3, 8, 8), ["a cup of coffee", ""])
    assert given.mask.any(1).tolist() == [True, False]
    trained_and_used(model, ["a cat on a blanket", "a cup of coffee"])


def test_other_tags_make_another_picture() -> None:
    """With the real text encoder."""
    model = built(CONFIGS / "quickstart_tag_x4.py")
    torch.nn.init.normal_(model.denoiser.head.weight)
    model.guidance.tagger = FixedTags(["cat"])
    lr = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    cat, again = model.restore(lr), model.restore(lr)
    model.guidance.tagger = FixedTags(["cup of coffee"])
    assert torch.equal(cat, again)
    assert (model.restore(lr) - cat).abs().max() > 1e-3


def test_seesr_prompt_can_be_set_from_the_command_line() -> None:
    options = parse_options(["model.guidance.positive=clean, high-resolution, 8k", "model.guidance.negative=noise, blur"])
    guidance = MODELS.build(load_config(CONFIGS / "quickstart_tag_x4.py", options).model).guidance
    told = guidance.explain(torch.full((1, 3, 8, 8), 0.5), ["by night"])[0]
    assert (told.prompt, guidance.negative_prompt) == ("by night, clean, high-resolution, 8k", "noise, blur")


def test_the_tag_quickstart_trains_and_tests_end_to_end(tmp_path: Path) -> None:
    path = CONFIGS / "quickstart_tag_x4.py"
    options = {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2, "test_cfg.num_steps": [1]}
    run = run_training(path, tmp_path / "run", options=options)
    rows = json.loads((run_testing(path, run, tmp_path / "out", options=options) / "metrics.json").read_text())["rows"]
    assert {row["dataset"] for row in rows if row["method"] == "model"} >= {"bundled_held_out"}
