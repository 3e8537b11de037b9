"""tools/routing_audit.py: every expert at every noise level."""

import json
from pathlib import Path

import pytest
import torch

from linearsr.core.data import collate_pictures
from linearsr.core.engine.routing_audit import audit, run_routing_audit
from linearsr.core.models import build_model
from linearsr.core.weights import write_safetensors
from tests.core.engine.curriculum.conftest import data, staged, trained, trained_once  # noqa: F401  (fixtures)
from tests.core.engine.test_expert_log import mixture_config
from tests.tools.conftest import Run
from tests.tools.test_scripts import refused


def mixture(config: Path, alike: bool = False):
    torch.manual_seed(0)
    model = build_model(mixture_config(config)).eval()
    for k, expert in enumerate(model.denoiser.experts):
        expert.load_state_dict(model.denoiser.experts[0].state_dict())
        with torch.no_grad():
            expert.head.bias.fill_(0.0 if alike else 0.1 * k)
    return model


def pictures(count: int, seed: int = 0) -> list:
    def one(index: int) -> dict:
        hr = torch.rand(3, 10, 14, generator=torch.Generator().manual_seed(seed + index))
        return {"lr": hr[:, ::2, ::2].contiguous(), "hr": hr, "name": str(index), "dataset": "d"}

    return [collate_pictures([one(index)]) for index in range(count)]


def test_experts_alike_have_equal_errors_and_no_jump(config: Path) -> None:
    found = audit(mixture(config, alike=True), iter(pictures(2)), bins=5)
    assert found.pictures == 2
    assert len(found.levels) == 6
    assert all(len(set(level.losses)) == 1 for level in found.levels)
    assert [at.jump for at in found.meetings] == [0, 0, 0]
    assert found.well_routed == 1


def test_an_error_is_that_of_the_expert_asked_and_the_router_is_put_back(config: Path) -> None:
    model, data = mixture(config), pictures(1)  # noqa: F811
    router = model.denoiser.router
    found = audit(model, iter(data), bins=3)
    assert model.denoiser.router is router
    for k in range(4):
        alone = mixture(config)
        for other in alone.denoiser.experts:
            other.load_state_dict(model.denoiser.experts[k].state_dict())
        again = audit(alone, iter(data), bins=3)
        assert [level.losses[k] for level in found.levels] == [level.losses[0] for level in again.levels]


def test_levels_fall_in_noise_and_are_served_as_the_router_says(config: Path) -> None:
    model = mixture(config)
    found = audit(model, iter(pictures(1)), bins=7)
    times = torch.tensor([level.t for level in found.levels], dtype=torch.float64)
    assert times[0] == 1
    assert found.levels[0].log_snr is None
    assert bool((times.diff() < 0).all())
    assert [level.routed for level in found.levels] == model.denoiser.router.route(times).tolist()
    assert [at.t for at in found.meetings] == list(model.denoiser.router.boundaries)
    assert all(at.jump > 0 for at in found.meetings)


def test_a_pictures_part_does_not_depend_on_the_others(config: Path) -> None:
    model = mixture(config)
    both = audit(model, iter(pictures(2)), bins=2)
    alone = [audit(model, iter([picture]), bins=2) for picture in pictures(2)]
    for level, *single in zip(both.levels, *(found.levels for found in alone), strict=True):
        assert level.losses == pytest.approx([sum(pair) / 2 for pair in zip(*(s.losses for s in single), strict=True)])


def test_the_script_prints_tables_and_writes_json_and_plot(run: Run, config: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = mixture_config(config)
    write_safetensors(tmp_path / "w.safetensors", mixture(config).state_dict())
    words = (path, "w.safetensors", "--out", "audit", "--plot", "audit/plot.png", "--bins", "3", "--pictures", "2")
    done = run("routing_audit.py", *words)
    assert done.returncode == 0, done.stderr
    assert "expert 3" in done.stdout
    assert "0.8750" in done.stdout
    found = json.loads((tmp_path / "audit" / "routing_audit.json").read_text())
    assert (found["pictures"], len(found["levels"]), len(found["meetings"])) == (2, 4, 3)
    assert found["record"]["checkpoint"] == "w.safetensors"
    assert (tmp_path / "audit" / "plot.png").stat().st_size > 1000


def test_what_cannot_be_audited_is_one_line(run: Run, config: Path, tmp_path: Path) -> None:
    path = mixture_config(config)
    write_safetensors(tmp_path / "w.safetensors", mixture(config).state_dict())
    write_safetensors(tmp_path / "dense.safetensors", build_model(config).state_dict())
    refused(run("routing_audit.py", config, "dense.safetensors"), "asks experts by time")
    refused(run("routing_audit.py", path, "dense.safetensors"), "does not fit")
    refused(run("routing_audit.py", path, "w.safetensors", "--bins", "0"), "--bins is 0")
    assert run_routing_audit(path, tmp_path / "w.safetensors", bins=1, pictures=1)[0].pictures == 1


def test_of_a_config_with_stages_the_stage_is_the_one_that_the_checkpoint_names(
    run: Run,
    staged: Path,  # noqa: F811
    trained: Path,  # noqa: F811
) -> None:
    whole = run_routing_audit(staged, trained, bins=1, pictures=1)[0]
    last = run_routing_audit(staged, trained / "sft", bins=1, pictures=1)[0]
    experts = run_routing_audit(staged, trained / "experts", bins=1, pictures=1)[0]
    named = run("routing_audit.py", staged, f"{trained}/experts@last", "--bins", "1", "--pictures", "1", "--out", "audit")
    assert whole == last != experts
    assert named.returncode == 0, named.stderr
    written = json.loads(Path(named.stdout.splitlines()[-1]).read_text())
    assert [level["losses"] for level in written["levels"]] == [level.losses for level in experts.levels]
    refused(run("routing_audit.py", staged, trained / "pretrain"), "asks experts by time")
