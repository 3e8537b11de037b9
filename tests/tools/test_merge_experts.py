"""tools/merge_experts.py: jobs' checkpoints to one mixture, and one expert out of it."""

from pathlib import Path

import pytest
import torch

from linearsr.core.engine import run_training
from linearsr.core.models import build_model, load_model
from linearsr.core.weights import read_state_dict, write_safetensors
from tests.core.engine.test_expert_log import mixture_config
from tests.tools.conftest import Run
from tests.tools.test_scripts import refused

FAST = {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2, "custom_hooks": []}


def job(config: Path, folder: Path, expert: int) -> Path:
    """A run that trains one of two experts."""
    shares = [float(k == expert) for k in range(2)]
    options = FAST | {"model.expert_shares": shares, "model.denoiser.router.boundaries": [0.5]}
    return run_training(config, folder, options=options) / "iter_2.pth"


@pytest.fixture
def jobs(config: Path, tmp_path: Path) -> list[Path]:
    path = mixture_config(config)
    return [job(path, tmp_path / f"job_{k}", k) for k in range(2)]


def two_experts(config: Path) -> Path:
    path = config.with_name("two.py")
    path.write_text(
        f'_base_ = ["{config.with_name("mixture.py")}"]\n'
        "model = dict(expert_shares=[1, 1], denoiser=dict(router=dict(boundaries=[0.5])))\n"
    )
    return path


def test_each_expert_is_its_own_jobs_and_the_model_works(run: Run, config: Path, jobs: list[Path], tmp_path: Path) -> None:
    done = run("merge_experts.py", *jobs, "--out", "mixture.safetensors", "--config", two_experts(config))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "2 experts in mixture.safetensors"
    swapped = run("merge_experts.py", *reversed(jobs), "--out", "swapped.safetensors")
    refused(swapped, "trained expert 1 and stands in the place of expert 0")
    merged = read_state_dict(tmp_path / "mixture.safetensors")
    for k, file in enumerate(jobs):
        state = read_state_dict(file)
        assert merged.keys() == state.keys()
        assert all(torch.equal(merged[name], state[name]) for name in state if f".experts.{k}." in name)
    assert not torch.equal(*(merged[f"denoiser.experts.{k}.head.weight"] for k in range(2)))
    model = load_model(two_experts(config), tmp_path / "mixture.safetensors")
    assert model.restore(torch.rand(1, 3, 5, 6), num_steps=4).shape == (1, 3, 10, 12)


@pytest.fixture
def weights(config: Path, tmp_path: Path) -> Path:
    """Of two experts that were never trained."""
    mixture_config(config)
    torch.manual_seed(0)
    return write_safetensors(tmp_path / "two.safetensors", build_model(two_experts(config)).state_dict())


def test_an_expert_taken_out_is_a_dense_model_with_its_answers(run: Run, config: Path, weights: Path, tmp_path: Path) -> None:
    done = run("merge_experts.py", weights, "--split", "1", "--out", "dense.safetensors", "--config", config)
    assert done.returncode == 0, done.stderr
    dense = load_model(config, tmp_path / "dense.safetensors")
    mixture = load_model(two_experts(config), weights)
    lr = torch.rand(1, 3, 8, 8)
    # one step from t = 1 is expert 1's; it prepares one time where the dense model prepares two, which float32 rounds apart
    assert (dense.restore(lr) - mixture.restore(lr)).abs().max() < 1e-6


def test_experts_taken_out_and_merged_again_are_the_mixture(run: Run, weights: Path, tmp_path: Path) -> None:
    for k in range(2):
        assert run("merge_experts.py", weights, "--split", k, "--out", f"{k}.safetensors").returncode == 0
    assert run("merge_experts.py", "0.safetensors", "1.safetensors", "--out", "again.safetensors").returncode == 0
    again, before = read_state_dict(tmp_path / "again.safetensors"), read_state_dict(weights)
    assert again.keys() == before.keys()
    assert all(torch.equal(again[name], value) for name, value in before.items())


def test_what_cannot_be_merged_is_one_line(run: Run, config: Path, weights: Path, tmp_path: Path) -> None:
    out = ("--out", "mixture.safetensors")
    refused(run("merge_experts.py", weights, weights, *out), "given for the experts 0 and 1")
    refused(run("merge_experts.py", weights, *out), "mixture of 2 experts, and 1 files")
    refused(run("merge_experts.py", weights, "other.pth", "--split", "0", *out), "2 are given")
    refused(run("merge_experts.py", weights, "none.pth", *out), "none.pth")
    refused(run("merge_experts.py", weights, "--split", "1", *out, "--config", config.with_name("mixture.py")), "does not fit")
    assert not (tmp_path / "mixture.safetensors").exists()
