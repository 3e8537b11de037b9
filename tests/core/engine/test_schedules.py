"""Learning rates written in fractions of a run."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import PARAM_SCHEDULERS

from linearsr.core.engine import run_training
from linearsr.core.engine.schedules import resolve_fractions
from linearsr.core.errors import ConfigError
from tests.core.engine.conftest import scalars


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_the_shortest_runs_have_a_schedule(config: Path, tmp_path: Path, iterations: int) -> None:
    warm = {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 0.05}
    folder = run_training(config, tmp_path / "run", options={"train_cfg.max_iters": iterations, "param_scheduler": [warm]})
    assert scalars(folder, "lr")[-1] == pytest.approx(1e-3)  # a warm-up of 5 % of so few has no iteration to rise in


def test_schedules_are_fractions_of_the_run() -> None:
    written = {"type": "LinearLR", "begin": 0, "end": 0.05, "T_max": 0.95}
    assert resolve_fractions(written, 200) == [{"type": "LinearLR", "begin": 0, "end": 10, "T_max": 190}]
    assert written["end"] == 0.05


@pytest.mark.parametrize("kind", ["LinearLR", "ConstantLR"])
def test_a_warm_up_ends_however_short_the_run(kind: str) -> None:
    """mmengine takes the factor of one that lasts a single iteration back at no time."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    for max_iters in range(1, 60):
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        resolved = resolve_fractions({"type": kind, "begin": 0, "end": 0.05, "by_epoch": False}, max_iters)
        schedulers = [PARAM_SCHEDULERS.build(entry, default_args={"optimizer": optimizer}) for entry in resolved]
        for _ in range(max_iters):
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(1.0), max_iters
    with pytest.raises(ConfigError, match=r"end is 0\.2, and begin 0\.5; wanted an end after it"):
        resolve_fractions({"type": kind, "begin": 0.5, "end": 0.2}, 100)
    with pytest.raises(ConfigError, match="would keep its first factor"):
        resolve_fractions({"type": kind, "begin": 3, "end": 4}, 100)
