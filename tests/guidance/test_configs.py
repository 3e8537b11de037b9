"""The configs of the guidance ablation: they load without any weights, say what is missing, and run when it is there."""

from pathlib import Path

import pytest
import torch

from linearsr.core.config import load_config, parse_options
from linearsr.core.errors import DataError, WeightsError
from linearsr.core.registries import DATASETS, MODELS
from linearsr.core.structures import SRBatch

CONFIGS = Path(__file__).parents[2] / "configs"
ABLATIONS = CONFIGS / "ablations"


def built(path: Path):
    torch.manual_seed(0)
    return MODELS.build(load_config(path).model)


def trained_and_used(model) -> torch.Tensor:
    """One loss with its gradients, and one picture restored."""
    draw = torch.Generator().manual_seed(0)
    lr, hr = torch.rand(2, 3, 16, 16, generator=draw), torch.rand(2, 3, 64, 64, generator=draw)
    model.loss(SRBatch(lr, (0, 1), hr))["loss"].backward()
    assert all(parameter.grad is not None for parameter in model.denoiser.guidance_projection.parameters())
    return model.restore(lr)


@pytest.mark.parametrize(
    "path", [ABLATIONS / "guidance_null.py", ABLATIONS / "guidance_tag.py", CONFIGS / "quickstart_tag_x4.py"]
)
def test_what_needs_no_weights_of_the_users_runs_as_it_is(path: Path) -> None:
    assert trained_and_used(built(path)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("kind", ["clip", "dino"])
def test_an_encoder_of_the_users_is_named_where_it_is_missing_and_runs_where_it_is(kind, vision, monkeypatch, tmp_path) -> None:
    path, variable = ABLATIONS / f"guidance_{kind}.py", f"LINEARSR_{kind.upper()}"
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match=r"nowhere/config\.json does not exist.*nothing was downloaded"):
        built(path)
    monkeypatch.setenv(variable, str(vision[kind]))
    assert trained_and_used(built(path)).shape == (2, 3, 64, 64)


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
    guidance = built(ABLATIONS / "guidance_caption.py").guidance
    given = guidance(torch.rand(2, 3, 8, 8), ["a cup of coffee", ""])
    assert given.mask.any(1).tolist() == [True, False]


def test_seesr_prompt_can_be_set_from_the_command_line() -> None:
    options = parse_options(["model.guidance.positive=clean, high-resolution, 8k", "model.guidance.negative=noise, blur"])
    guidance = MODELS.build(load_config(CONFIGS / "quickstart_tag_x4.py", options).model).guidance
    told = guidance.explain(torch.full((1, 3, 8, 8), 0.5), ["by night"])[0]
    assert (told.prompt, guidance.negative_prompt) == ("by night, clean, high-resolution, 8k", "noise, blur")
