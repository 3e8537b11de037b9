"""What a run does when a number is not finite: it stops, skips the step, or goes back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook

from linearsr.core.engine import NEWEST, run_training
from linearsr.core.engine.checkpoints import read_checkpoint
from linearsr.core.errors import ConfigError, DivergenceError
from linearsr.core.models import LinearSR
from linearsr.core.registries import HOOKS
from tests.core.engine.conftest import same_weights, scalars

OURS = {"optim_wrapper.type": "PrecisionOptimWrapper", "default_hooks.checkpoint.interval": 2, "train_cfg.val_interval": 100}
SKIP = {"default_hooks.divergence": {"type": "SkipDivergedSteps", "max_skips": 3, "max_in_a_row": 2}}
BACK = {"default_hooks.divergence": {"type": "RollBackOnDivergence", "max_rollbacks": 2}}
Harm = Callable[..., None]


@pytest.fixture
def harm(monkeypatch: pytest.MonkeyPatch) -> Harm:
    """`harm(4, 5)`: the 4th and 5th loss that is computed in training, counted from 1, is not a number."""

    def spoil(*calls: int, by: float = float("nan")) -> None:
        honest, count = LinearSR.loss, []

        def loss(self: LinearSR, batch: Any, *told: Any) -> dict[str, torch.Tensor]:
            if not _running_again():
                count.append(1)
            return {"loss": honest(self, batch, *told)["loss"] * (by if len(count) in calls else 1.0)}

        monkeypatch.setattr(LinearSR, "loss", loss)

    return spoil


def _running_again() -> bool:
    import inspect

    return any(frame.function == "_again" for frame in inspect.stack())


def info(folder: Path, iteration: int, name: str) -> Any:
    return read_checkpoint(folder / f"iter_{iteration}.pth")["message_hub"]["runtime_info"].get(name)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_by_default_the_run_stops_and_saves_nothing_of_it(config: Path, tmp_path: Path, harm: Harm, dtype: str) -> None:
    harm(4)
    with pytest.raises(DivergenceError, match=r"first in LinearSR itself.*Nothing of iteration 4 was saved; resume from"):
        run_training(
            config, tmp_path / "run", options=OURS | {"optim_wrapper.dtype": dtype, "default_hooks.checkpoint.interval": 1}
        )
    assert sorted(path.name for path in (tmp_path / "run").glob("*.pth")) == ["iter_1.pth", "iter_2.pth", "iter_3.pth"]


def test_a_skipped_step_leaves_weights_and_states_and_the_iteration_counts(config: Path, tmp_path: Path, harm: Harm) -> None:
    harm(4)
    folder = run_training(config, tmp_path / "run", options=OURS | SKIP | {"default_hooks.checkpoint.interval": 1})
    before, after = (read_checkpoint(folder / f"iter_{iteration}.pth") for iteration in (3, 4))
    for key, value in before["ema_state_dict"].items():  # where mmengine keeps the weights that are trained
        if key != "steps":
            assert torch.equal(value, after["ema_state_dict"][key])
    torch.testing.assert_close(before["optimizer"]["state"], after["optimizer"]["state"], rtol=0, atol=0)
    assert after["optimizer"]["param_groups"][0]["lr"] < before["optimizer"]["param_groups"][0]["lr"]
    assert (after["meta"]["iter"], after["meta"]["position"]) == (4, 8)
    assert (folder / "iter_6.pth").is_file()
    assert scalars(folder, "skipped_steps") == [0, 0, 0, 1, 1, 1]
    assert all(value is not None for value in scalars(folder, "loss"))


def test_a_bad_picture_costs_its_accumulated_step_and_no_other(config: Path, tmp_path: Path) -> None:
    bad = {"type": "tests.core.engine.optimisation.toys.NaNOnRank", "at": 3, "rank": 0}
    options = OURS | SKIP | {"optim_wrapper.accumulative_counts": 2, "custom_hooks": [bad]}
    folder = run_training(config, tmp_path / "run", options=options)
    assert info(folder, 6, "skipped_steps") == 1
    assert read_checkpoint(folder / "iter_6.pth")["optimizer"]["state"][0]["step"] == 2


def test_skipping_is_bounded_in_a_row(config: Path, tmp_path: Path, harm: Harm) -> None:
    harm(3, 4, 5)
    with pytest.raises(DivergenceError, match="so were the 2 before it"):
        run_training(config, tmp_path / "run", options=OURS | SKIP)


def test_a_step_ends_the_row(config: Path, tmp_path: Path, harm: Harm) -> None:
    harm(1, 2, 4)
    folder = run_training(config, tmp_path / "run", options=OURS | SKIP)
    assert info(folder, 6, "skipped_steps") == 3


def test_skipping_is_bounded_in_all_over_a_resume_too(config: Path, tmp_path: Path, harm: Harm) -> None:
    harm(1, 3, 5, 8)
    folder = run_training(config, tmp_path / "run", options=OURS | SKIP)
    assert info(folder, 6, "skipped_steps") == 3
    with pytest.raises(DivergenceError, match="3 steps were skipped before"):
        run_training(config, folder, resume=NEWEST, options=OURS | SKIP | {"train_cfg.max_iters": 12})


def test_weights_that_are_not_finite_are_not_skipped(config: Path, tmp_path: Path) -> None:
    class Poison(Hook):
        def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
            if batch_idx == 2:
                runner.model.denoiser.head.bias.data[0] = float("nan")

    HOOKS.register_module(module=Poison, force=True)
    try:
        with pytest.raises(DivergenceError, match=r"the weight denoiser\.head\.bias is not finite.*skipping does not mend"):
            run_training(config, tmp_path / "run", options=OURS | SKIP | {"custom_hooks": [{"type": "Poison"}]})
    finally:
        HOOKS._module_dict.pop("Poison")


def test_going_back_restores_all_but_the_place_in_the_data_and_the_rate(config: Path, tmp_path: Path, harm: Harm) -> None:
    options = OURS | BACK | {"default_hooks.checkpoint.max_keep_ckpts": -1}
    straight = run_training(config, tmp_path / "straight", options=options)
    at_two = read_checkpoint(straight / "iter_2.pth")
    harm(4)
    folder = run_training(config, tmp_path / "run", options=options)
    again = read_checkpoint(folder / "iter_2.pth")
    for part in ("state_dict", "ema_state_dict"):
        assert at_two[part].keys() == again[part].keys()
        assert all(torch.equal(value, again[part][name]) for name, value in at_two[part].items()), part
    torch.testing.assert_close(at_two["optimizer"]["state"], again["optimizer"]["state"], rtol=0, atol=0)
    assert again["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0.5 * at_two["optimizer"]["param_groups"][0]["lr"])
    assert at_two["meta"]["position"] == 4
    assert again["meta"]["position"] == 8  # past the batch of iteration 4
    assert info(folder, 6, "rollbacks") == 1
    assert info(folder, 6, "lr_scale") == 0.5
    assert scalars(folder, "lr")[2:] == pytest.approx([0.5 * lr for lr in scalars(straight, "lr")[2:]])
    assert read_checkpoint(folder / "iter_6.pth")["meta"]["position"] == 16
    assert not same_weights(straight / "iter_6.pth", folder / "iter_6.pth")


def test_a_kill_after_going_back_does_not_undo_it(config: Path, tmp_path: Path, harm: Harm) -> None:
    harm(4)
    folder = run_training(config, tmp_path / "run", options=OURS | BACK | {"default_hooks.checkpoint.max_keep_ckpts": -1})
    resumed = tmp_path / "resumed"
    resumed.mkdir()
    (folder / "iter_2.pth").rename(resumed / "iter_2.pth")
    run_training(config, resumed, resume=NEWEST, options=OURS | BACK)
    assert same_weights(folder / "iter_6.pth", resumed / "iter_6.pth")
    assert info(resumed, 6, "rollbacks") == 1
    assert info(resumed, 6, "lr_scale") == 0.5


def test_rates_fall_with_every_return_and_returns_are_bounded(config: Path, tmp_path: Path, harm: Harm) -> None:
    harm(4, 6, 9)
    folder = tmp_path / "run"
    with pytest.raises(DivergenceError, match="the run went back 2 times before"):
        run_training(config, folder, options=OURS | BACK)
    assert info(folder, 4, "lr_scale") == 0.25
    assert info(folder, 4, "rollbacks") == 2


def test_before_the_first_checkpoint_there_is_nothing_to_go_back_to(config: Path, tmp_path: Path, harm: Harm) -> None:
    harm(2)
    with pytest.raises(DivergenceError, match="there is no checkpoint of this run yet"):
        run_training(config, tmp_path / "run", options=OURS | BACK)
    assert not list((tmp_path / "run").glob("*.pth"))


def test_a_resumed_run_goes_back_to_where_it_was_resumed(config: Path, tmp_path: Path, harm: Harm) -> None:
    folder = run_training(config, tmp_path / "run", options=OURS | BACK | {"train_cfg.max_iters": 2})
    harm(1)
    run_training(config, folder, resume=NEWEST, options=OURS | BACK)
    assert info(folder, 6, "rollbacks") == 1


def test_going_back_in_the_middle_of_an_accumulated_step(config: Path, tmp_path: Path, harm: Harm) -> None:
    harm(3)
    options = OURS | BACK | {"optim_wrapper.accumulative_counts": 2, "default_hooks.checkpoint.max_keep_ckpts": -1}
    folder = run_training(config, tmp_path / "run", options=options)
    assert info(folder, 6, "rollbacks") == 1
    assert read_checkpoint(folder / "iter_6.pth")["optimizer"]["state"][0]["step"] == 3


@pytest.mark.parametrize("policy", [SKIP, BACK])
def test_without_a_divergence_a_policy_changes_nothing(config: Path, tmp_path: Path, policy: dict[str, Any]) -> None:
    one = run_training(config, tmp_path / "one", options=OURS)
    two = run_training(config, tmp_path / "two", options=OURS | policy)
    assert same_weights(one / "iter_6.pth", two / "iter_6.pth")


def test_a_policy_needs_our_step(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"optim_wrapper\.type='PrecisionOptimWrapper'"):
        run_training(config, tmp_path / "run", options=SKIP)


def test_two_policies_are_refused(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"in place of custom_hooks set default_hooks\.divergence"):
        run_training(config, tmp_path / "run", options=OURS | {"custom_hooks": [{"type": "SkipDivergedSteps"}]})


def test_with_another_wrapper_the_run_ends_before_anything_is_saved(config: Path, tmp_path: Path, harm: Harm) -> None:
    harm(2)
    with pytest.raises(DivergenceError, match="Nothing of iteration 2 was saved"):
        run_training(config, tmp_path / "run", options=OURS | {"optim_wrapper.type": "OptimWrapper"})
    assert not list((tmp_path / "run").glob("*.pth"))


@pytest.mark.parametrize(
    ("hook", "key", "value"),
    [
        ("SkipDivergedSteps", "max_skips", 0),
        ("SkipDivergedSteps", "max_in_a_row", True),
        ("RollBackOnDivergence", "max_rollbacks", 1.5),
        ("RollBackOnDivergence", "lr_factor", 0.0),
        ("RollBackOnDivergence", "lr_factor", 2.0),
    ],
)
def test_bounds_that_bound_nothing_are_refused(hook: str, key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{hook}: {key} is {value!r}"):
        HOOKS.build({"type": hook, key: value})
