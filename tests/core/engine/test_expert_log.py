"""What the run's log says of each expert."""

from pathlib import Path

import pytest
import torch

from linearsr.core.engine import read_log, run_training
from linearsr.core.errors import ConfigError
from linearsr.core.weights import read_state_dict

MIXTURE = """
_base_ = ["{config}"]
model = dict(
    time_sampler=dict(_delete_=True, type="LogitNormalTimes"), expert_shares=[1, 1, 1, 1],
    denoiser=dict(_delete_=True, type="ExpertMixture", router=dict(type="SNRRouter"), {own} expert={expert}))
custom_hooks = [dict(type="ExpertLogHook", window=3)]
optim_wrapper = dict(type="PrecisionOptimWrapper", clip_grad={clip})
"""
EXPERT = """dict(type="LinearDiT", depth=1, width=16, head_width=8,
                  attention=dict(type="ReLULinearAttention"), feed_forward=dict(type="GatedConvFeedForward", ratio=1.0),
                  lr_stem=dict(type="ConvStem", width=8, depth=1))"""


def mixture_config(config: Path, own: str = "", clip: str = "None") -> Path:
    path = config.with_name("mixture.py")
    path.write_text(MIXTURE.format(config=config, own=own, expert=EXPERT, clip=clip))
    return path


def logged(folder: Path) -> list[dict[str, float]]:
    return read_log(folder / "log.jsonl", "train")


def test_shares_losses_and_gradient_norms_of_the_experts_add_up_to_the_runs(config: Path, tmp_path: Path) -> None:
    rows = logged(run_training(mixture_config(config), tmp_path / "run", options={"log_processor.window_size": 1}))
    assert len(rows) == 6
    served = [0.0] * 4
    for step, row in enumerate(rows):
        shares = [row[f"expert_{k}/share"] for k in range(4)]
        assert sum(shares) == pytest.approx(1)
        assert not any("error" in name for name in row)
        before = served
        # the window of 3 iterations moves on by one: twice the difference is what came in, with 2 pictures a batch
        served = [3 * share for share in shares] if step >= 3 else [(step + 1) * share for share in shares]
        if step < 3:
            fresh = [round(2 * (now - then)) for now, then in zip(served, before, strict=True)]
            assert sum(fresh) == 2
            mean = sum(count * row[f"expert_{k}/loss"] for k, count in enumerate(fresh) if count) / 2
            assert row["loss"] == pytest.approx(mean, rel=1e-5)
            norm = sum(row[f"expert_{k}/grad_norm"] ** 2 for k, count in enumerate(fresh) if count) ** 0.5
            assert row["grad_norm"] == pytest.approx(norm, rel=1e-5)


def test_norms_are_what_the_optimiser_gets_and_the_trunk_has_its_own(config: Path, tmp_path: Path) -> None:
    path = mixture_config(config, own='per_expert=["*.feed_forward.*"],', clip="dict(max_norm=1e-3)")
    first = logged(run_training(path, tmp_path / "run", options={"train_cfg.max_iters": 1}))[0]
    norms = [value for name, value in first.items() if name.endswith("/grad_norm") and name != "grad_norm"]
    assert "trunk/grad_norm" in first
    assert sum(norm**2 for norm in norms) ** 0.5 == pytest.approx(1e-3, rel=1e-3)  # torch clips to norm/(norm + 1e-6)


def test_one_expert_alone_trains_and_the_others_stay_where_they_were(config: Path, tmp_path: Path) -> None:
    options = {
        "model.expert_shares": [0, 0, 1, 0],
        "custom_hooks": [{"type": "ExpertLogHook"}],
    }
    folder = run_training(mixture_config(config), tmp_path / "run", options=options)
    first, last = (read_state_dict(folder / f"iter_{i}.pth") for i in (3, 6))
    moved = {name.split(".")[2] for name in first if not torch.equal(first[name], last[name])}
    assert moved == {"2"}
    assert all(row["expert_2/share"] == 1 for row in logged(folder))


def test_learning_rates_by_expert_come_from_custom_keys(config: Path, tmp_path: Path) -> None:
    path = mixture_config(config, own='per_expert=["*.feed_forward.*"],')
    text = path.read_text() + (
        'optim_wrapper["paramwise_cfg"] = dict(custom_keys={"denoiser.trunk.": dict(lr_mult=0.0), '
        '"denoiser.experts.3.": dict(lr_mult=2.0)})\n'
    )
    path.write_text(text)
    folder = run_training(path, tmp_path / "run", options={"custom_hooks": []})
    groups = torch.load(folder / "iter_6.pth", weights_only=True)["optimizer"]["param_groups"]
    assert {group["initial_lr"] for group in groups} == {0.0, 1e-3, 2e-3}
    first, last = (read_state_dict(folder / f"iter_{i}.pth") for i in (3, 6))
    moved = {name.split(".")[1] for name in first if not torch.equal(first[name], last[name])}
    assert moved == {"experts"}


def test_a_dense_model_has_nothing_to_log(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no experts; take the hook out"):
        run_training(config, tmp_path / "run", options={"custom_hooks": [{"type": "ExpertLogHook"}]})
    with pytest.raises(ConfigError, match="window is 0"):
        run_training(config, tmp_path / "run2", options={"custom_hooks": [{"type": "ExpertLogHook", "window": 0}]})
