"""Samples per second and the wait for data, on a clock that the test sets."""

from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.logging import MessageHub

from linearsr.core.engine import ThroughputHook

BATCH, RANKS = 4, 3


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(now=100.0)
    monkeypatch.setattr("linearsr.core.engine.hooks.throughput.time", SimpleNamespace(perf_counter=lambda: made.now))
    return made


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Any:
    return SimpleNamespace(
        train_dataloader=SimpleNamespace(batch_size=BATCH), world_size=RANKS, message_hub=MessageHub(request.node.name)
    )


def iterate(hook: ThroughputHook, runner: Any, clock: SimpleNamespace, wait: float, work: float) -> None:
    clock.now += wait
    hook.before_train_iter(runner, 0)
    clock.now += work
    hook.after_train_iter(runner, 0)


def current(runner: Any, name: str) -> float:
    return float(runner.message_hub.get_scalar(f"train/{name}").current())


def test_speed_is_that_of_all_ranks_over_wall_time(runner: Any, clock: SimpleNamespace) -> None:
    hook = ThroughputHook()
    hook.before_train(runner)
    iterate(hook, runner, clock, wait=1.0, work=2.0)
    iterate(hook, runner, clock, wait=0.0, work=1.0)
    assert current(runner, "samples_per_second") == pytest.approx(2 * BATCH * RANKS / 4.0)
    assert current(runner, "data_share") == pytest.approx(1.0 / 4.0)


def test_the_window_forgets_older_iterations(runner: Any, clock: SimpleNamespace) -> None:
    hook = ThroughputHook(window=2)
    hook.before_train(runner)
    iterate(hook, runner, clock, wait=0.0, work=1000.0)
    for _ in range(2):
        iterate(hook, runner, clock, wait=0.5, work=0.5)
    assert current(runner, "samples_per_second") == pytest.approx(BATCH * RANKS)
    assert current(runner, "data_share") == pytest.approx(0.5)


def test_the_time_of_a_validation_counts_neither_as_work_nor_as_wait(runner: Any, clock: SimpleNamespace) -> None:
    hook = ThroughputHook()
    hook.before_train(runner)
    iterate(hook, runner, clock, wait=0.0, work=1.0)
    clock.now += 500.0
    hook.after_val_epoch(runner)
    iterate(hook, runner, clock, wait=0.0, work=1.0)
    assert current(runner, "samples_per_second") == pytest.approx(BATCH * RANKS)
    assert current(runner, "data_share") == 0.0


def test_a_resumed_run_shows_no_speed_of_an_earlier_machine(runner: Any) -> None:
    for name in ("train/samples_per_second", "train/data_share", "train/loss"):
        runner.message_hub.update_scalar(name, 1.0)  # as a checkpoint brings them
    ThroughputHook().before_train(runner)
    assert list(runner.message_hub.log_scalars) == ["train/loss"]
