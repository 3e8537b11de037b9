"""Lost training pictures are counted over ranks and restarts, named once, and end a run when they are too many."""

import copy
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from mmengine.logging import MessageHub

from linearsr.core.engine import LostSamplesHook, run_training
from linearsr.core.engine.hooks import lost_limit, lost_samples
from linearsr.core.errors import ConfigError, DataError
from tests.core.data.conftest import cut_short

A, B = ("a.png", "a.png is cut short"), ("b.png", "b.png is no picture")


def a_run(batch_size: int = 2) -> SimpleNamespace:
    hub = MessageHub.get_instance(f"lost{len(MessageHub._instance_dict)}")
    return SimpleNamespace(iter=0, message_hub=hub, logger=Mock(), train_dataloader=SimpleNamespace(batch_size=batch_size))


def step(hook: LostSamplesHook, run: SimpleNamespace, *lost: tuple[str, str]) -> dict:
    batch = {"lr": 0, **({"lost": list(lost)} if lost else {})}
    hook.before_train_iter(run, run.iter, batch)
    hook.after_train_iter(run, run.iter, batch, {})
    run.iter += 1
    return batch


def said(run: SimpleNamespace) -> list[str]:
    return [call.args[0] for call in run.logger.warning.call_args_list]


def test_the_model_sees_a_batch_without_losses_and_each_file_is_named_once() -> None:
    hook, run = LostSamplesHook(), a_run()
    for lost in ((A,), (), (A, B), (B, B)):
        assert step(hook, run, *lost) == {"lr": 0}
    assert [text.split(": ")[1] for text in said(run)] == [A[1], B[1]]
    count = run.message_hub.get_info(lost_samples.KEY)
    assert count["draws"] == 8
    assert count["files"] == {"a.png": 2, "b.png": 3}


@pytest.mark.parametrize(("limit", "least", "survives"), [(0.0, 1000, 0), (0.01, 100, 1), (0.01, 1000, 10), (1.0, 2, 50)])
def test_a_run_ends_when_more_than_the_limit_of_its_draws_is_lost(limit: float, least: int, survives: int) -> None:
    """One draw of two is lost in each iteration: after n of them, n of max(2n, least)."""
    hook, run = LostSamplesHook(limit=limit, least=least), a_run()
    for _ in range(survives):
        step(hook, run, A)
    if limit < 1:
        with pytest.raises(
            DataError, match=rf"{survives + 1} of .* could not be read: a\.png is cut short \({survives + 1}×\)"
        ):
            step(hook, run, A)


def test_a_share_below_the_limit_goes_on_for_ever() -> None:
    hook, run = LostSamplesHook(limit=0.01, least=100), a_run(batch_size=50)
    for index in range(200):
        step(hook, run, *([A] if index % 2 else []))  # 1 of 100
    hook.after_train(run)
    assert said(run)[-1].startswith("100 of 10000 draws (1.00%) could not be read: a.png is cut short (100×)")


def test_a_clean_run_says_nothing() -> None:
    hook, run = LostSamplesHook(), a_run()
    step(hook, run)
    hook.after_train(run)
    assert said(run) == []


def test_many_files_are_shown_by_how_often_they_are_lost() -> None:
    hook, run = LostSamplesHook(limit=1), a_run()
    for index in range(8):
        step(hook, run, *[(f"{index}.png", f"{index}.png is bad")] * (index + 1))
    hook.after_train(run)
    assert "7.png is bad (8×); 6.png is bad (7×)" in said(run)[-1]
    assert said(run)[-1].endswith("; and 3 more files")


@pytest.mark.parametrize("options", [{"limit": -0.1}, {"limit": 1.5}, {"interval": 0}])
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError, match="LostSamplesHook: "):
        LostSamplesHook(**options)


def test_ranks_count_together_and_talk_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks by hand: what the second has lost is B, twice."""
    asked = []

    def all_reduce(number: torch.Tensor) -> None:
        asked.append(int(number))
        number += 2

    monkeypatch.setattr(lost_samples, "get_world_size", lambda: 2)
    monkeypatch.setattr(lost_samples, "all_reduce", all_reduce)
    monkeypatch.setattr(lost_samples, "all_gather_object", lambda own: [own, [B, B]])
    hook, run = LostSamplesHook(interval=3), a_run()
    for lost in ((A,), (A,), ()):
        step(hook, run, *lost)
    assert asked == [2]
    count = run.message_hub.get_info(lost_samples.KEY)
    assert count["draws"] == 12
    assert count["files"] == {"a.png": 2, "b.png": 2}
    step(hook, run, A)
    checkpoint = {"message_hub": {"runtime_info": {}}}
    hook.before_save_checkpoint(run, checkpoint)  # counts what is not counted yet
    assert checkpoint["message_hub"]["runtime_info"][lost_samples.KEY]["files"] == {"a.png": 3, "b.png": 4}


def test_the_limit_of_a_config_holds_at_the_start_too() -> None:
    assert lost_limit(None) == lost_limit({"lost_samples": {"type": "LostSamplesHook"}}) == 0.01
    assert lost_limit({"lost_samples": {"type": "LostSamplesHook", "limit": 0.2}}) == 0.2


def allowing(config: Path, limit: float) -> Path:
    path = config.with_name("allowing.py")
    hook = f'lost_samples=dict(type="LostSamplesHook", limit={limit})'
    path.write_text(f'_base_ = ["{config}"]\ndefault_hooks = dict({hook})\nval_cfg = val_dataloader = val_evaluator = None\n')
    return path


def test_a_run_with_a_damaged_jpeg_among_good_ones_goes_on_and_a_resumed_one_counts_on(
    config: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cut_short([data / "p1.png"], 0.6)
    run_training(allowing(config, 0.5), tmp_path / "straight")
    assert "".join(capfd.readouterr()).count("a training picture is lost") == 1
    found = torch.load(tmp_path / "straight" / "iter_6.pth", weights_only=True)["message_hub"]["runtime_info"]["lost_samples"]
    assert found["draws"] == 12
    assert found["files"] == {str(data / "p1.png"): 3}  # once in each of three epochs, and in none of the others' places
    short = run_training(allowing(config, 0.5), tmp_path / "halves", options={"train_cfg.max_iters": 3})
    run_training(allowing(config, 0.5), short, resume="newest")
    again = torch.load(short / "iter_6.pth", weights_only=True)["message_hub"]["runtime_info"]["lost_samples"]
    assert again == found


def test_a_run_that_loses_too_much_ends_with_the_file_named(config: Path, data: Path, tmp_path: Path) -> None:
    cut_short([data / "p1.png"], 0.6)
    strict = allowing(config, 0.0)
    with pytest.raises(DataError, match=r"1 of \d+ draws .* could not be read: .*p1\.png .* more than the limit of 0\.00%"):
        run_training(strict, tmp_path / "run")


def test_validation_reads_every_picture_or_ends(config: Path, data: Path, tmp_path: Path) -> None:
    hook = '_base_ = ["{}"]\ndefault_hooks = dict(lost_samples=dict(type="LostSamplesHook", limit=0.5))\n'
    path = config.with_name("validated.py")
    path.write_text(hook.format(config))
    cut_short([data / "p1.png"], 0.6)
    with pytest.raises(DataError, match=r"p1\.png cannot be read as a picture"):
        run_training(path, tmp_path / "run")


def test_a_copy_in_a_checkpoint_does_not_change_with_the_run() -> None:
    hook, run = LostSamplesHook(limit=1), a_run()
    step(hook, run, A)
    checkpoint = {"message_hub": {"runtime_info": {}}}
    hook.before_save_checkpoint(run, checkpoint)
    before = copy.deepcopy(checkpoint)
    step(hook, run, A)
    assert checkpoint == before
